// RFC 6455 as a conformance suite would try it, with raw bytes: fragments, control frames, UTF-8, lengths, closing.
//
// The live API answers {"type":"ping","id":X} with the same X, so it serves as the echo that such suites want.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Raw, close, frame, more, ping, text } from "./lib/raw.mjs";
import { Server } from "./lib/server.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.stop());

const PATHS = ["/ws", "/machine"];
const open = (path = "/ws") => Raw.open(server, path, { protocol: path === "/machine" ? "muster.v1" : undefined });
const say = (id) => JSON.stringify({ type: "ping", id });

// Sends frames and expects the echo of `id`.
async function echoes(raw, frames, id) {
  for (const part of frames) raw.send(part);
  for (;;) {
    const found = await raw.next();
    assert.ok(found, "the connection ended");
    assert.equal(found.masked, false, "a server does not mask");
    if (found.opcode === 9 || found.opcode === 10) continue;
    assert.equal(found.opcode, 1, found.payload.toString("latin1"));
    const message = JSON.parse(found.payload.toString());
    assert.equal(message.type, "pong");
    assert.equal(message.id, id);
    return;
  }
}

async function refuses(frames, codes, paths = PATHS) {
  for (const path of paths) {
    const raw = await open(path);
    for (const part of frames) raw.send(part);
    const end = await raw.closing();
    assert.ok(codes.includes(end.code), `${path}: closed with ${end.code} ${end.reason}, not ${codes}`);
    if (typeof end.code === "number") raw.send(close(end.code));
    await raw.gone();
  }
}

// A message in fragments of so many bytes, with a control frame between any two if there is one.
function pieces(message, size, between) {
  const bytes = Buffer.from(message);
  const frames = [];
  for (let at = 0; at < bytes.length; at += size) {
    const fin = at + size >= bytes.length;
    frames.push(frame(at === 0 ? 1 : 0, bytes.subarray(at, at + size), { fin }));
    if (between && !fin) frames.push(between);
  }
  return frames;
}

const conforms = (name, run) => test(`row 31, RFC 6455: ${name}`, run);

describe("lengths", { concurrency: 8 }, () => {
  const overhead = say("").length;
  for (const length of [overhead, 125, 126, 127, 128, 4_095, 4_096, 65_534, 65_535, 65_536]) {
    conforms(`a message of ${length} bytes`, async () => {
      const raw = await open();
      const id = "x".repeat(length - overhead);
      await echoes(raw, [text(say(id))], id);
      raw.destroy();
    });
  }
  conforms("a message in bytes that come one by one", async () => {
    const raw = await open();
    for (const byte of text(say("slow"))) {
      raw.send(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await echoes(raw, [], "slow");
    raw.destroy();
  });
  conforms("a hundred messages in one write", async () => {
    const raw = await open();
    raw.send(...Array.from({ length: 100 }, (_, i) => text(say(`${i}`))));
    for (let i = 0; i < 100; i += 1) await echoes(raw, [], `${i}`);
    raw.destroy();
  });
  conforms("a message beyond the limit → 1009", () => refuses([text(say("x".repeat(65_536)))], [1009], ["/ws"]));
  conforms("fragments that together go beyond the limit → 1009", () => refuses(pieces(say("x".repeat(70_000)), 10_000), [1009], ["/ws"]));
  conforms("a length that claims 2^53 → 1009", () => refuses([text("", { length: 2 ** 53 })], [1009]));
});

describe("pings and pongs", { concurrency: 8 }, () => {
  for (const payload of [Buffer.alloc(0), Buffer.from("hello"), Buffer.from([0, 0xff, 0xfe, 0xfd, 0x80]), Buffer.alloc(125, 0xfe)]) {
    conforms(`a ping of ${payload.length} bytes is answered with the same`, async () => {
      const raw = await open();
      raw.send(ping(payload));
      const pong = await raw.next();
      assert.equal(pong.opcode, 10);
      assert.deepEqual(pong.payload, payload);
      raw.destroy();
    });
  }
  conforms("a ping of 126 bytes → 1002", () => refuses([ping(Buffer.alloc(126))], [1002]));
  conforms("a ping in single bytes", async () => {
    const raw = await open();
    for (const byte of ping("single")) raw.send(Buffer.from([byte]));
    assert.equal((await raw.next()).payload.toString(), "single");
    raw.destroy();
  });
  conforms("a pong that nobody asked for is ignored", async () => {
    const raw = await open();
    await echoes(raw, [frame(10, ""), frame(10, "unasked"), text(say("still here"))], "still here");
    raw.destroy();
  });
  conforms("ten pings in a row: the last is answered, none wrongly", async () => {
    const raw = await open();
    raw.send(...Array.from({ length: 10 }, (_, i) => ping(`${i}`)));
    const answers = [];
    while (answers.at(-1) !== "9") answers.push((await raw.next()).payload.toString());
    assert.deepEqual(answers, [...answers].sort((a, b) => a - b));
    raw.destroy();
  });
  conforms("a fragmented ping → 1002", () => refuses([ping("a", { fin: false }), more("b")], [1002]));
});

describe("bits and opcodes", { concurrency: 8 }, () => {
  for (const rsv of [1, 2, 3, 4, 5, 6, 7]) {
    conforms(`reserved bits ${rsv} in a message → 1002`, () => refuses([text(say("x"), { rsv })], [1002]));
    conforms(`reserved bits ${rsv} in a ping → 1002`, () => refuses([ping("x", { rsv })], [1002]));
  }
  for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
    conforms(`opcode ${opcode} → 1002`, () => refuses([frame(opcode, "")], [1002]));
    conforms(`opcode ${opcode} after a good message → 1002`, async () => {
      const raw = await open();
      await echoes(raw, [text(say("good"))], "good");
      raw.send(frame(opcode, "x"));
      assert.equal((await raw.closing()).code, 1002);
      raw.destroy();
    });
  }
  conforms("a frame without a mask → 1002", () => refuses([text(say("x"), { masked: false })], [1002]));
  conforms("binary → 1003", () => refuses([frame(2, say("x"))], [1003]));
});

describe("fragments", { concurrency: 8 }, () => {
  for (const size of [1, 2, 3, 7, 1_000]) {
    conforms(`a message in fragments of ${size} bytes`, async () => {
      const raw = await open();
      const id = "fragmented ".repeat(20);
      await echoes(raw, pieces(say(id), size), id);
      raw.destroy();
    });
    conforms(`the same with a ping between any two`, async () => {
      const raw = await open();
      const id = "fragmented ".repeat(20);
      await echoes(raw, pieces(say(id), size, ping("between")), id);
      raw.destroy();
    });
  }
  conforms("empty fragments", async () => {
    const raw = await open();
    const frames = [text("", { fin: false }), more("", { fin: false }), more(say("in the middle"), { fin: false }), more("")];
    await echoes(raw, frames, "in the middle");
    raw.destroy();
  });
  conforms("a continuation of nothing → 1002", () => refuses([more(say("x"))], [1002]));
  conforms("an unfinished continuation of nothing → 1002", () => refuses([more(say("x"), { fin: false })], [1002]));
  conforms("a continuation after the end → 1002", () => refuses([text(say("x")), more("y")], [1002], ["/ws"]));
  conforms("a new message inside a fragmented one → 1002", () => refuses([text("{", { fin: false }), text("}")], [1002]));
});

describe("UTF-8", { concurrency: 8 }, () => {
  const good = ["κόσμε", "Hello-µ@ßöäüàá", "日本語", "😀👩‍🚀", "\u0001\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\uffff", "\u{10000}\u{10ffff}"];
  for (const id of good) {
    for (const size of [1, 2, 1_000]) {
      conforms(`${JSON.stringify(id)} in fragments of ${size} bytes`, async () => {
        const raw = await open();
        await echoes(raw, pieces(say(id), size), id);
        raw.destroy();
      });
    }
  }
  const bad = {
    "a lone continuation": [0x80],
    "two lone continuations": [0x80, 0xbf],
    "a byte that never occurs, FE": [0xfe],
    "a byte that never occurs, FF": [0xff],
    "an overlong slash": [0xc0, 0xaf],
    "a longer overlong slash": [0xe0, 0x80, 0xaf],
    "an overlong zero": [0xc0, 0x80],
    "a surrogate": [0xed, 0xa0, 0x80],
    "a pair of surrogates": [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80],
    "beyond U+10FFFF": [0xf4, 0x90, 0x80, 0x80],
    "five bytes": [0xf8, 0x88, 0x80, 0x80, 0x80],
    "cut off after two of three": [0xe2, 0x82],
    "cut off after three of four": [0xf0, 0x9f, 0x98],
    "a good sequence, then a bad one": [0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xed, 0xa0, 0x80],
  };
  for (const [name, bytes] of Object.entries(bad)) {
    const message = Buffer.concat([Buffer.from('{"type":"ping","id":"'), Buffer.from(bytes), Buffer.from('"}')]);
    conforms(`${name} → 1007`, () => refuses([text(message)], [1007]));
    conforms(`${name}, in single bytes → 1007`, () => refuses(pieces(message, 1), [1007]));
  }
  conforms("a sequence cut off by the end of the message → 1007", () => refuses([text(Buffer.from([0x22, 0xe2, 0x82]))], [1007]));
  conforms("the end of a sequence in a message of its own → 1007", () =>
    refuses([text(Buffer.from([0x22, 0xe2])), text(Buffer.from([0x82, 0xac, 0x22]))], [1007]),
  );
});

describe("closing", { concurrency: 8 }, () => {
  for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]) {
    for (const path of PATHS) {
      conforms(`${code} at ${path} is answered, and the connection ends`, async () => {
        const raw = await open(path);
        raw.send(close(code, "reason"));
        const end = await raw.closing();
        assert.ok([code, 1000].includes(end.code), `answered with ${end.code}`);
        await raw.gone();
      });
    }
  }
  for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]) {
    conforms(`${code}, which is none → 1002`, () => refuses([close(code)], [1002]));
  }
  conforms("without a code is answered, and the connection ends", async () => {
    const raw = await open();
    raw.send(close());
    assert.ok(["none", 1000].includes((await raw.closing()).code));
    await raw.gone();
  });
  conforms("with a reason of 123 bytes", async () => {
    const raw = await open();
    raw.send(close(1000, "x".repeat(123)));
    assert.equal((await raw.closing()).code, 1000);
    await raw.gone();
  });
  conforms("with a reason of 124 bytes → 1002", () => refuses([close(1000, "x".repeat(124))], [1002]));
  conforms("with one byte → 1002", () => refuses([frame(8, "x")], [1002]));
  conforms("with a reason that is not UTF-8 → 1007", () => refuses([close(1000, Buffer.from([0xce, 0xba, 0xed, 0xa0, 0x80]))], [1007, 1002]));
  conforms("what comes after a close is not looked at", async () => {
    const raw = await open();
    raw.send(close(1000), text(say("too late")), ping("too late"));
    const found = await raw.next();
    assert.equal(found.opcode, 8);
    await raw.gone();
    assert.deepEqual(raw.frames, []);
  });
  conforms("a fragmented close → 1002", () => refuses([frame(8, "", { fin: false })], [1002]));
  conforms("a connection that is cut leaves nothing behind", async () => {
    const raw = await open();
    raw.send(text(say("x")).subarray(0, 9));
    raw.destroy();
    const other = await open();
    await echoes(other, [text(say("others go on"))], "others go on");
    other.destroy();
  });
});
