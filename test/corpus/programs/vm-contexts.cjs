// A sandbox per tenant script, never thrown away: a whole global object each.
const vm = require('node:vm');

const sandboxes = [];

function openSandbox(id) {
  const sandbox = vm.createContext({ id });
  vm.runInContext('total = id * 2', sandbox);
  sandboxes.push(sandbox); // leaks
}

module.exports = {
  about: 'vm contexts in an array',
  leaks: { kinds: ['heap'], function: ['openSandbox'], bytesPerUnit: 146_200 },
  route: '/scripts/:id',
  handle({ id }) {
    openSandbox(id);
    return { sandboxes: sandboxes.length };
  },
};
