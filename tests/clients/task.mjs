// What a driver is given to do, and how it tells what came of it: a line of JSON.
import { readFileSync } from "node:fs";

export const readTask = () => JSON.parse(readFileSync(process.argv[2], "utf8"));

export const picture = (task) => readFileSync(task.picture);

/** Wait until a list is not empty. */
export async function untilFilled(list) {
  while ((await list()).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Print the result, and end: some clients keep their sockets open. */
export async function finish(result) {
  const bytes = Buffer.from(await result.picture.arrayBuffer());
  const text = JSON.stringify({ ...result, picture: bytes.toString("base64") });
  process.stdout.write(`\n${text}\n`, () => process.exit(0));
}
