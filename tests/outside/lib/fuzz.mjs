// Requests made up from an OpenAPI document, and the judgement of their answers. Knows nothing of what the operations mean:
// only which parameters and bodies they take, and which statuses and documents they say they answer with.

import { randomBytes } from "node:crypto";
import http from "node:http";
import Ajv2020 from "ajv/dist/2020.js";

// Numbers from a seed (mulberry32): the same seed makes the same requests.
export class Chance {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  below(count) {
    return Math.floor(this.next() * count);
  }

  one(list) {
    return list[this.below(list.length)];
  }

  chance(share) {
    return this.next() < share;
  }
}

export const newSeed = () => randomBytes(4).readUInt32BE();

// What has broken servers before. Every one of them can stand in a query, most in a path.
const HOSTILE = [
  "", " ", "0", "-0", "-1", "1e309", "1e-400", "NaN", "Infinity", "null", "undefined", "true", "[]", "{}", "0x10", "1_000",
  "2147483648", "4294967296", "9007199254740993", "9223372036854775808", "18446744073709551615", "18446744073709551616", "9".repeat(400),
  "2026-13-45T99:99:99Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "-292277022657-01-27T08:29:52Z", "+275760-09-13T00:00:00Z",
  "1970-01-01T00:00:00+99:99", "2026-02-29T00:00:00Z", "2026-06-30T23:59:60Z",
  "' OR '1'='1", "'; DROP TABLE events; --", "\" OR 1=1", "%' ESCAPE '", "../../etc/passwd", "..%2f..%2f", "$(reboot)", "`id`", "|cat",
  "{{7*7}}", "<script>alert(1)</script>", "\u0000", "a\u0000b", "\r\nSet-Cookie: a=b", "\u202e", "\ufeff", "\u{1f980}", "e\u0301", "ß", "İ", "\u{10ffff}",
  "a".repeat(4_000), "(".repeat(2_000), "a=".repeat(500), "label.=", "label.x=", "battery<", "battery<<20", "kind=car|", "!", "-", "--", "=", "&", "%", "%zz", "%c0%af",
  "00".repeat(1_000), "7b7d", "5b5d", "6e756c6c", "7b226e657874223a2d317d", "7b226e657874223a31387d", "zz",
];
// Bytes that no encoder writes.
const RAW_HOSTILE = ["%", "%zz", "%c0%af", "%ff%fe", "%00", "%ed%a0%80", "+", "%2b", "%26", "%3d"];

const HEAD_MAX = 8_000;

const TIMES = ["2026-11-21T07:00:00Z", "2020-01-01T00:00:00.123456789+01:00", "1970-01-01T00:00:00Z"];

// Documents by what their schema says, with `known` values where something must exist.
export class Maker {
  constructor(document, chance, known) {
    Object.assign(this, { document, chance, known });
  }

  resolve(schema) {
    let at = schema;
    while (at?.$ref !== undefined) {
      at = at.$ref.slice(2).split("/").reduce((node, key) => node[key.replaceAll("~1", "/").replaceAll("~0", "~")], this.document);
    }
    return at ?? {};
  }

  // A value that fits the schema.
  valid(given, depth = 0) {
    const schema = this.resolve(given);
    const { chance } = this;
    if (schema.enum !== undefined) return chance.one(schema.enum);
    const choices = schema.oneOf ?? schema.anyOf;
    if (choices !== undefined) return this.valid(chance.one(choices), depth);
    const type = Array.isArray(schema.type) ? chance.one(schema.type) : schema.type;
    switch (type) {
      case "null": return null;
      case "boolean": return chance.chance(0.5);
      case "integer": {
        const least = Math.max(schema.minimum ?? 0, Number.MIN_SAFE_INTEGER);
        return least + chance.below(chance.one([2, 20, 2_000]));
      }
      case "number": return chance.one([0.5, 1, 12.25, 49.9]);
      case "array": return Array.from({ length: chance.below(depth > 3 ? 1 : 4) }, () => this.valid(schema.items ?? {}, depth + 1));
      case "object": {
        const made = {};
        for (const [name, each] of Object.entries(schema.properties ?? {})) {
          if (!schema.required?.includes(name) && !chance.chance(0.7)) continue;
          const known = this.known.properties?.[name];
          made[name] = known === undefined ? this.valid(each, depth + 1) : chance.one(known);
        }
        if (typeof schema.additionalProperties === "object") {
          for (let i = chance.below(4); i > 0; i -= 1) made[`k${chance.below(100)}`] = this.valid(schema.additionalProperties, depth + 1);
        }
        return made;
      }
      case "string":
        if (schema.format === "date-time") return chance.one([...TIMES, new Date(Date.now() - chance.below(600_000)).toISOString()]);
        if (schema.format === "uuid") return chance.one(this.known.uuids);
        return chance.one(["a", "Frida", "line-3", "ä ö", "x".repeat(60)]);
      default: return chance.one([null, 1, "x", {}]);
    }
  }

  // The same value, with something changed that may make it wrong.
  mutated(value) {
    const { chance } = this;
    const hostile = () => chance.one([null, true, -1, 1e308, "", chance.one(HOSTILE), [], {}, [[[]]], { a: { b: {} } }, "x".repeat(5_000)]);
    if (value === null || typeof value !== "object" || chance.chance(0.3)) return hostile();
    if (Array.isArray(value)) {
      const copy = [...value, ...(chance.chance(0.3) ? Array(300).fill(value[0] ?? null) : [])];
      if (copy.length > 0) copy[chance.below(copy.length)] = hostile();
      return copy;
    }
    const copy = { ...value };
    const names = Object.keys(copy);
    const name = names.length > 0 ? chance.one(names) : "x";
    switch (chance.below(5)) {
      case 0: delete copy[name]; break;
      case 1: copy[chance.one(HOSTILE)] = hostile(); break;
      case 2: copy[name] = hostile(); break;
      case 3: for (let i = 0; i < 200; i += 1) copy[`extra${i}`] = i; break;
      default: copy[name] = this.mutated(copy[name]);
    }
    return copy;
  }

  // A parameter's value as text, and whether it was made to fit.
  parameter(parameter) {
    const { chance, known } = this;
    const of = known.parameters?.[parameter.name];
    if (of !== undefined && chance.chance(0.8)) return chance.one(of);
    if (chance.chance(0.5)) return String(this.valid(parameter.schema ?? {}));
    return chance.one(HOSTILE);
  }
}

// Every operation of the document.
export function operations(document) {
  const methods = ["get", "put", "post", "delete", "patch"];
  return Object.entries(document.paths).flatMap(([path, item]) =>
    methods.filter((method) => item[method] !== undefined).map((method) => ({
      path,
      method,
      parameters: [...(item.parameters ?? []), ...(item[method].parameters ?? [])],
      body: item[method].requestBody?.content?.["application/json"]?.schema,
      responses: item[method].responses,
    })),
  );
}

// One request for an operation: `{path, method, headers, body}`.
export function request(operation, maker) {
  const { chance } = maker;
  const headers = {};
  let path = operation.path;
  const query = [];
  for (const parameter of operation.parameters) {
    // Without the version most changes are refused before anything else is looked at.
    const needed = parameter.required || chance.chance(parameter.in === "header" ? 0.7 : 0.35);
    if (parameter.in === "path") {
      const fitting = maker.known.parameters?.[parameter.name] ?? maker.known.uuids;
      const value = chance.chance(0.75) ? chance.one(fitting) : maker.parameter(parameter);
      // Dots would make it another path before it is sent.
      path = path.replace(`{${parameter.name}}`, () => encodeURIComponent(value).replace(/^\.+$/, "%2e") || "%20");
    } else if (parameter.in === "query" && (needed ? chance.chance(0.97) : false)) {
      const value = chance.chance(0.05) ? chance.one(RAW_HOSTILE) : encodeURIComponent(maker.parameter(parameter));
      query.push(`${parameter.name}=${value}`);
      if (chance.chance(0.03)) query.push(query.at(-1));
    } else if (parameter.in === "header" && needed) {
      // What cannot stand in a header is not the server's to refuse.
      headers[parameter.name] = maker.parameter(parameter).replaceAll(/[^\x20-\x7e]/g, "?");
    }
  }
  if (chance.chance(0.05)) query.push(`${encodeURIComponent(chance.one(HOSTILE))}=${encodeURIComponent(chance.one(HOSTILE))}`);
  // Longer heads than a server has to take are another test.
  while (query.join("&").length > HEAD_MAX) query.pop();
  const made = { method: operation.method.toUpperCase(), path: query.length > 0 ? `${path}?${query.join("&")}` : path, headers };
  if (operation.body !== undefined) {
    const fitting = maker.valid(operation.body);
    const value = chance.chance(0.5) ? fitting : maker.mutated(fitting);
    made.body = JSON.stringify(value);
    if (chance.chance(0.1)) made.body = chance.one(["", "{", "[".repeat(5_000), `${made.body}x`, made.body.slice(0, -1), "\ufeff{}", "nul", '{"labels":{"a":"b","a":"c"}}']);
    headers["content-type"] = chance.chance(0.95) ? "application/json" : chance.one(["text/plain", "application/xml", "application/json; charset=latin1"]);
  }
  return made;
}

// What is wrong with an answer, in words; undefined if nothing is.
export class Judge {
  constructor(document) {
    this.ajv = new Ajv2020({ strict: false, validateFormats: false });
    this.ajv.addSchema({ $id: "urn:muster:openapi", ...document });
    this.compiled = new Map();
  }

  fits(schema) {
    const text = JSON.stringify(schema).replaceAll('"#/', '"urn:muster:openapi#/');
    if (!this.compiled.has(text)) this.compiled.set(text, this.ajv.compile(JSON.parse(text)));
    return this.compiled.get(text);
  }

  fault(operation, { status, type, text }) {
    if (status >= 500) return `status ${status}`;
    const documented = operation.responses[status];
    if (documented === undefined) return `status ${status} is not documented`;
    const content = documented.content?.[type];
    if (content === undefined) {
      return documented.content === undefined && text === "" ? undefined : `content type ${type} is not documented for ${status}`;
    }
    if (!/[/+]json$/.test(type)) return undefined;
    let body;
    try {
      body = JSON.parse(text);
    } catch {
      return `a body of ${type} that is no JSON`;
    }
    const fits = this.fits(content.schema ?? {});
    return fits(body) ? undefined : `the body does not fit its schema: ${this.ajv.errorsText(fits.errors)}`;
  }
}

// Sends what was made up over a connection of its own, and gives what came back. Of an answer without end, the head is enough.
export function send(url, made) {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const length = made.body === undefined ? {} : { "content-length": Buffer.byteLength(made.body) };
    const asked = http.request({ hostname, port, agent: false, method: made.method, path: made.path, headers: { ...made.headers, ...length } }, (answer) => {
      const type = (answer.headers["content-type"] ?? "").split(";")[0];
      if (type === "text/event-stream") {
        resolve({ status: answer.statusCode, type, text: "" });
        asked.destroy();
        return;
      }
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ status: answer.statusCode, type, text: Buffer.concat(parts).toString() }));
      answer.on("error", reject);
    });
    asked.setTimeout(10_000, () => asked.destroy(new Error("no answer within 10 s")));
    asked.on("error", reject);
    asked.end(made.body);
  });
}

// So many requests, `beside` each other. Gives the faults, and how often each status of each operation was seen.
export async function fuzz(url, document, { seed, rounds, known, beside = 8 }) {
  const judge = new Judge(document);
  const all = operations(document);
  const maker = new Maker(document, new Chance(seed), known);
  const faults = [];
  const seen = new Map();
  let number = 0;
  const worker = async () => {
    while (number < rounds && faults.length < 20) {
      const operation = all[number % all.length];
      const index = number;
      number += 1;
      const made = request(operation, maker);
      let fault;
      try {
        const answer = await send(url, made);
        const key = `${operation.method} ${operation.path} ${answer.status}`;
        seen.set(key, (seen.get(key) ?? 0) + 1);
        fault = judge.fault(operation, answer);
        if (fault !== undefined) fault += `: ${answer.text.slice(0, 500)}`;
      } catch (error) {
        fault = `no answer: ${error}`;
      }
      if (fault !== undefined) faults.push({ index, made: { ...made, path: made.path.slice(0, 500), body: made.body?.slice(0, 500) }, fault });
    }
  };
  await Promise.all(Array.from({ length: beside }, worker));
  return { faults, seen, sent: number };
}
