// Hundreds of functions that are compiled, get hot and are optimised during the first half of the run; all of them stay.
const validators = [];

function addValidator(number) {
  const rules = Array.from({ length: 40 }, (_, field) => `(row.field${field} ?? ${field}) * ${number + 1} >= 0`);
  // oxlint-disable-next-line typescript/no-implied-eval -- what is measured
  validators.push(new Function('row', `return ${rules.join(' && ')};`));
}

module.exports = {
  about: '300 functions that are compiled and get hot in the first half of the run',
  leaks: false,
  boundShare: 0.06,
  route: '/validate/:id',
  background(plan) {
    plan.repeat(() => (validators.length < 300 ? 300 / (plan.seconds / 2) : 0), addValidator);
  },
  handle({ id }) {
    const row = { field0: id };
    let valid = 0;
    for (const validator of validators) for (let i = 0; i < 20; i++) valid += validator(row) ? 1 : 0;
    return valid;
  },
};
