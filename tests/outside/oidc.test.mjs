// People who come from a real provider: `oidc-provider`, which is certified, on loopback; the server as it is shipped, with TLS.
// A browser is walked by hand: cookies for each of the two, the provider's own pages to sign in and to consent.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import path from "node:path";
import { after, before, test } from "node:test";

import Provider from "oidc-provider";

import { executable, folder } from "./lib/server.mjs";

const SECRET = "a secret that only the two know";
const PASSWORD = "correct horse battery staple";
const people = { ada: { groups: ["munich-ops"] }, eve: { groups: ["guests"] } };
const data = folder();
let issuer, listening, server, said = "", url, ca;

before(async () => {
  let answer;
  listening = http.createServer((request, response) => answer(request, response)).listen(0, "127.0.0.1");
  await once(listening, "listening");
  issuer = `http://127.0.0.1:${listening.address().port}`;
  const secretFile = path.join(data, "oidc-secret");
  writeFileSync(secretFile, `${SECRET}\n`, { mode: 0o600 });
  const set = {
    MUSTER__OIDC__ISSUER: issuer,
    MUSTER__OIDC__CLIENT_ID: "muster",
    MUSTER__OIDC__CLIENT_SECRET_FILE: secretFile,
    MUSTER__OIDC__NAME: "Example",
    MUSTER__OIDC__SCOPES: "openid profile groups",
    MUSTER__OIDC__GRANTS: "fleet-admins=admin; munich-ops=operator:label.site=munich",
  };
  const args = ["serve", "--data", path.join(data, "server"), "--listen", "127.0.0.1:0", "--machines-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
  server = spawn(executable, args, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...set } });
  await new Promise((resolve, reject) => {
    server.stderr.on("data", (more) => {
      said += more;
      url ??= /Serving at (https:\/\/\S+)\s/.exec(said)?.[1];
      if (url && /metrics at/.test(said)) resolve();
    });
    server.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
  });
  ca = readFileSync(path.join(data, "server/identity/ca.pem"));
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "muster",
      client_secret: SECRET,
      redirect_uris: [`${url}/api/v1/session/callback`],
      post_logout_redirect_uris: [`${url}/sign-in`],
    }],
    claims: { openid: ["sub"], profile: ["name", "preferred_username"], groups: ["groups"] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, name: `Person ${id}`, groups: people[id]?.groups ?? [] }),
    }),
    pkce: { required: () => true },
    cookies: { keys: ["a key of the test"] },
  });
  answer = provider.callback();
});

after(async () => {
  server?.kill("SIGKILL");
  listening?.close();
  listening?.closeAllConnections();
  rmSync(data, { recursive: true, force: true });
});

// A browser that follows nothing by itself.
class Browser {
  jars = new Map();

  async go(address, { method = "GET", form, json, headers = {} } = {}) {
    const to = new URL(address, this.at ?? url);
    const jar = this.jars.get(to.origin) ?? new Map();
    this.jars.set(to.origin, jar);
    const body = form ? String(new URLSearchParams(form)) : json ? JSON.stringify(json) : undefined;
    const send = {
      method,
      ca,
      agent: false,
      headers: {
        cookie: [...jar].map(([key, value]) => `${key}=${value}`).join("; "),
        ...(body && { "content-type": form ? "application/x-www-form-urlencoded" : "application/json", "content-length": Buffer.byteLength(body) }),
        ...(method !== "GET" && { origin: to.origin }),
        ...headers,
      },
    };
    const request = (to.protocol === "https:" ? https : http).request(to, send);
    request.end(body);
    const [response] = await once(request, "response");
    let text = "";
    for await (const chunk of response) text += chunk;
    for (const cookie of response.headers["set-cookie"] ?? []) {
      const [, key, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      if (value === "" || /max-age=0|expires=thu, 01 jan 1970/i.test(cookie)) jar.delete(key);
      else jar.set(key, value);
    }
    this.at = to.href;
    return { status: response.statusCode, location: response.headers.location, text, cookies: response.headers["set-cookie"] ?? [] };
  }

  // The provider's pages, until it sends the browser back here: where to, not walked yet.
  async atProvider(address, login) {
    let answer = await this.go(address);
    for (let steps = 0; steps < 20; steps += 1) {
      if (answer.location?.startsWith(url)) return answer.location;
      if (answer.location) {
        answer = await this.go(answer.location);
        continue;
      }
      const action = /<form[^>]+action="([^"]+)"/.exec(answer.text)?.[1];
      const prompt = /name="prompt" value="([^"]+)"/.exec(answer.text)?.[1];
      assert.ok(action && prompt, `${answer.status}: ${answer.text.slice(0, 2_000)}`);
      answer = await this.go(action, { method: "POST", form: { prompt, ...(prompt === "login" && { login, password: "any" }) } });
    }
    throw new Error("the provider does not send the browser back");
  }

  async signIn(login, next = "/machines") {
    const sent = await this.go(`${url}/api/v1/session/provider?next=${encodeURIComponent(next)}`);
    assert.equal(sent.status, 303, sent.text);
    const back = await this.atProvider(sent.location, login);
    return { back, ...(await this.go(back)) };
  }

  async me() {
    return JSON.parse((await this.go(`${url}/api/v1/me`)).text);
  }
}

test("somebody signs in at a real provider, gets what their groups get, signs out there, and comes back with others", async () => {
  const browser = new Browser();
  assert.equal((await browser.me()).provider, "Example");
  const seen = await browser.signIn("ada");
  assert.deepEqual([seen.status, seen.location], [303, "/machines"], said);
  assert.match(seen.back, /[?&]iss=/);
  const session = seen.cookies.find((cookie) => cookie.startsWith("__Host-muster="));
  for (const part of ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"]) assert.ok(session.includes(part), session);
  let me = await browser.me();
  assert.deepEqual([me.name, me.display_name, me.by], ["ada", "Person ada", "session"]);
  assert.deepEqual(me.grants, [{ role: "operator", scope: "label.site=munich" }]);
  // What the browser came back with is worth nothing any more, not even to the browser.
  assert.equal((await browser.go(seen.back)).location, "/sign-in?problem=not-begun");

  const out = await browser.go(`${url}/api/v1/session`, { method: "DELETE" });
  assert.equal(out.status, 204, out.text);
  assert.ok(out.location.startsWith(`${issuer}/session/end?`), out.location);
  assert.equal((await browser.me()).signed_in, false);
  // The provider asks whether to sign out there as well, and sends the browser to our page.
  const page = await browser.go(out.location);
  const [action, xsrf] = [/action="([^"]+)"/.exec(page.text)[1], /name="xsrf" value="([^"]+)"/.exec(page.text)[1]];
  const ended = await browser.go(action, { method: "POST", form: { xsrf, logout: "yes" } });
  assert.equal(ended.location, `${url}/sign-in`);

  people.ada.groups = ["fleet-admins"];
  assert.equal((await browser.signIn("ada", "/people")).location, "/people");
  me = await browser.me();
  assert.deepEqual([me.name, me.grants], ["ada", [{ role: "admin", scope: "*" }]]);
  const audit = JSON.parse((await browser.go(`${url}/api/v1/audit?action=session.provider`)).text);
  assert.deepEqual(audit.items.map(({ person, outcome }) => [person, outcome]), [["ada", "done"], ["ada", "refused"], ["ada", "done"]]);
});

test("nobody gets in without a group that gets something, or in somebody else's name", async () => {
  const eve = new Browser();
  assert.equal((await eve.signIn("eve")).location, "/sign-in?problem=no-grants");
  assert.equal((await eve.me()).signed_in, false);

  const [, token] = /set-up#(\S+)/.exec(said);
  const root = new Browser();
  const made = await root.go(`${url}/api/v1/set-up`, { method: "POST", json: { token, name: "root", password: PASSWORD } });
  // Somebody of fleet-admins is an admin already: the link is for where there is none.
  assert.equal(made.status, 403, made.text);
  // A sign-in that somebody else began.
  const back = await new Browser().go(`${url}/api/v1/session/provider`).then(({ location }) => new Browser().atProvider(location, "ada"));
  const victim = new Browser();
  assert.equal((await victim.go(back)).location, "/sign-in?problem=not-begun");
  assert.equal((await victim.me()).signed_in, false);
  // A code that the provider does not know.
  const browser = new Browser();
  const sent = await browser.go(`${url}/api/v1/session/provider`);
  const forged = new URL(await browser.atProvider(sent.location, "ada"));
  forged.searchParams.set("code", "forged");
  assert.equal((await browser.go(forged.href)).location, "/sign-in?problem=provider-answer");
  assert.match(said, /invalid_grant/);
  assert.ok(!said.includes(SECRET));
});
