// The second service: tells what is left to whoever asks. It knows nothing of tokens and certificates.
import { createServer } from 'node:http';

const { PORT } = process.env;

createServer((request, response) => {
  const item = request.url.split('/').at(-1);
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ item, left: 3 }));
}).listen(Number(PORT), '127.0.0.1', () => console.log('stock listens'));
