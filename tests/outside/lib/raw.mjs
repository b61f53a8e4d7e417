// A WebSocket client that does what it is told, right or wrong.

import { randomBytes } from "node:crypto";
import net from "node:net";

import { within } from "./machine.mjs";

// One frame. Everything can be wrong in it.
export function frame(opcode, payload = "", { fin = true, rsv = 0, masked = true, length, mask = randomBytes(4) } = {}) {
  const body = Buffer.isBuffer(payload) ? Buffer.from(payload) : Buffer.from(payload, "utf8");
  const said = length ?? body.length;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const bit = masked ? 0x80 : 0;
  if (said < 126) head.push(bit | said);
  else if (said < 65_536) head.push(bit | 126, said >> 8, said & 0xff);
  else {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(BigInt(said));
    head.push(bit | 127, ...long);
  }
  if (!masked) return Buffer.concat([Buffer.from(head), body]);
  for (let i = 0; i < body.length; i += 1) body[i] ^= mask[i % 4];
  return Buffer.concat([Buffer.from(head), mask, body]);
}

export const text = (payload, options) => frame(1, payload, options);
export const more = (payload, options) => frame(0, payload, options);
export const ping = (payload, options) => frame(9, payload, options);
export function close(code, reason = "") {
  const body = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)]);
  if (code !== undefined) body.writeUInt16BE(code);
  return frame(8, code === undefined ? "" : body);
}

export class Raw {
  // Connects and upgrades.
  static async open(server, path, { protocol, headers = {} } = {}) {
    const raw = new Raw();
    raw.socket = net.connect(server.port, "127.0.0.1");
    raw.socket.setNoDelay(true);
    Object.assign(raw, { buffer: Buffer.alloc(0), frames: [], ended: false });
    raw.socket.on("error", () => {});
    raw.socket.on("close", () => {
      raw.ended = true;
      raw.wake?.();
    });
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${server.port}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
      "Sec-WebSocket-Version: 13",
      ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ];
    raw.socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    raw.head = await within(
      new Promise((resolve, reject) => {
        const take = (data) => {
          raw.buffer = Buffer.concat([raw.buffer, data]);
          const end = raw.buffer.indexOf("\r\n\r\n");
          if (end < 0) return;
          const head = raw.buffer.subarray(0, end).toString();
          raw.buffer = raw.buffer.subarray(end + 4);
          raw.socket.off("data", take);
          raw.socket.on("data", (data) => raw.take(data));
          resolve(head);
        };
        raw.socket.on("data", take);
        raw.socket.once("close", () => reject(new Error("closed before an answer")));
      }),
      5_000,
      "upgrading",
    );
    raw.take(Buffer.alloc(0));
    return raw;
  }

  take(data) {
    this.buffer = Buffer.concat([this.buffer, data]);
    for (;;) {
      if (this.buffer.length < 2) break;
      let length = this.buffer[1] & 0x7f;
      let at = 2;
      if (length === 126) {
        if (this.buffer.length < 4) break;
        length = this.buffer.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        if (this.buffer.length < 10) break;
        length = Number(this.buffer.readBigUInt64BE(2));
        at = 10;
      }
      if (this.buffer.length < at + length) break;
      const opcode = this.buffer[0] & 0x0f;
      const payload = Buffer.from(this.buffer.subarray(at, at + length));
      this.buffer = this.buffer.subarray(at + length);
      this.frames.push({ opcode, payload, masked: (this.buffer[1] & 0x80) !== 0 });
    }
    this.wake?.();
  }

  send(...frames) {
    this.socket.write(Buffer.concat(frames));
  }

  // The next frame; undefined when the connection ended.
  async next(ms = 5_000) {
    const wait = async () => {
      while (this.frames.length === 0) {
        if (this.ended) return undefined;
        await new Promise((resolve) => (this.wake = resolve));
      }
      return this.frames.shift();
    };
    return within(wait(), ms, "waiting for a frame");
  }

  // How the server ends it: the code in its close frame, or "dropped".
  async closing(ms = 5_000) {
    for (;;) {
      const found = await this.next(ms);
      if (found === undefined) return { code: "dropped", reason: "" };
      if (found.opcode !== 8) continue;
      if (found.payload.length < 2) return { code: "none", reason: "" };
      return { code: found.payload.readUInt16BE(0), reason: found.payload.subarray(2).toString() };
    }
  }

  async gone(ms = 5_000) {
    const wait = async () => {
      while (!this.ended) await new Promise((resolve) => (this.wake = resolve));
    };
    return within(wait(), ms, "waiting for the end of the connection");
  }

  destroy() {
    this.socket.destroy();
  }
}
