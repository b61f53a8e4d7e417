// A machine that floods, in a process of its own: what it costs to make the flood must not slow down those who measure.
//
// Told "flood", it connects and sends as fast as it can, again and again whenever it is let go or not let in; told "rest", it
// stops. Says at the end how often its connections ended with which code.

import { setPriority } from "node:os";

import { Machine, payloads, sleep } from "./machine.mjs";

// A flooding machine has a processor of its own; here it must take none from the server and those who measure.
setPriority(19);

const RETURN_AFTER_MS = 50;

const [port] = process.argv.slice(2);
const server = { socket: (path) => `ws://127.0.0.1:${port}${path}` };
const flooder = new Machine(server);
const codes = {};
let floods = false;
let wake;

process.on("message", (word) => {
  floods = word === "flood";
  wake?.();
  if (word === "end") process.send(codes, () => process.exit(0));
});

async function flood() {
  await flooder.open();
  flooder.say("hello");
  const answer = await flooder.next();
  if (answer.type === "welcome") {
    flooder.session = answer.payload.session;
    await pour();
    if (!floods) return flooder.ws.terminate();
  }
  const { code } = await flooder.closed;
  codes[code] = (codes[code] ?? 0) + 1;
  // It does not wait for as long as it is told.
  await sleep(RETURN_AFTER_MS);
}

async function pour() {
  while (flooder.ws.readyState === 1 && floods) {
    for (let i = 0; i < 100; i += 1) flooder.ws.send(JSON.stringify(flooder.envelope("telemetry", payloads.telemetry(50))));
    // Until it is on its way: a flood that only waits in this process is none.
    while (flooder.ws.readyState === 1 && flooder.ws.bufferedAmount > 1 << 20) await sleep(1);
    await new Promise(setImmediate);
  }
}

process.send("ready");
for (;;) {
  if (!floods) await new Promise((resolve) => (wake = resolve));
  else await flood().catch((error) => (codes[error.message] = (codes[error.message] ?? 0) + 1));
}
