// A queue of the module that is filled faster than it is worked off: nobody tells the broker to wait.
const queue = [];

function enqueue(number) {
  const events = Array.from({ length: 770 }, (_, position) => ({ position, number, value: position * 0.75 }));
  queue.push({ number, events }); // leaks
}

/** A tenth of what comes in, which the rate is on top of. */
function workOff(number) {
  if (number % 10 === 0 && queue.length > 0) queue.shift();
}

module.exports = {
  about: 'a queue that is filled faster than it is emptied; a background job',
  leaks: { kinds: ['heap'], function: ['enqueue'], bytesPerUnit: 50_000 },
  background(plan) {
    plan.eachMessage((number) => {
      enqueue(number);
      workOff(number);
    });
  },
};
