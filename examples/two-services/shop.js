// The first service: asks stock for what it sells. It knows nothing of tokens and certificates.
import { createServer } from 'node:http';

const { PORT, STOCK_URL } = process.env;

createServer(async (_, response) => {
  const answer = await fetch(`${STOCK_URL}/v1/items/7`).catch(() => undefined);
  if (answer?.status !== 200) {
    response.writeHead(502);
    return response.end(`stock answered ${answer?.status ?? 'nothing'}\n`);
  }
  const { item, left } = await answer.json();
  response.end(`item ${item}: ${left} left\n`);
}).listen(Number(PORT), '127.0.0.1', () => console.log('shop listens'));
