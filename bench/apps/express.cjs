// Express 5: one route with a parameter, a small JSON answer.
const express = require('express');
const { countRequest, listening, middleware } = require('./control.cjs');

const app = express();
middleware?.express(app);
app.get('/items/:id', (req, res) => {
  countRequest();
  res.json({ id: req.params.id, hello: 'world' });
});

const server = app.listen(0, '127.0.0.1', () => listening(server));
