#!/usr/bin/env python3
"""A machine of a Muster fleet, written from openapi/asyncapi.json alone and with nothing but Python's own library.

It reports this computer: its state, its load every few seconds, and an event when the load crosses a threshold. Records
are kept in a file until the server has them. Run it: python3 agent.py --data DIR [--server ws://127.0.0.1:7700/machine]
"""

import argparse
import json
import os
import platform
import random
import signal
import socket
import sys
import time
import uuid
from datetime import datetime, timedelta, timezone

from websocket import Gone, WebSocket

OUTBOX_MAX = 1000
SILENCE_MAX_S = 30


class Memory:
    """What outlives a restart: who we are, the last record's number, and every record the server does not have yet."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.path = os.path.join(folder, "agent.json")
        self.kept = {"machine_id": str(uuid.uuid4()), "highest": 0, "session": 0, "outbox": []}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                self.kept = json.load(file)
        self.save()

    def save(self):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.kept, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path + ".new", self.path)

    def record(self, kind, timestamp, payload):
        """On disk first, then on the wire."""
        self.kept["highest"] += 1
        self.kept["outbox"].append([self.kept["highest"], kind, timestamp, payload])
        del self.kept["outbox"][:-OUTBOX_MAX]
        self.save()

    def acknowledged(self, record):
        if self.kept["outbox"] and self.kept["outbox"][0][0] <= record:
            self.kept["outbox"] = [kept for kept in self.kept["outbox"] if kept[0] > record]
            self.save()


class Agent:
    def __init__(self, options):
        self.options, self.memory = options, Memory(options.data)
        self.boot_id, self.started = str(uuid.uuid4()), time.monotonic()
        self.booted_at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.clock = None  # (server time as a datetime, monotonic time then, uncertainty in s)
        self.connects, self.round_trip_ms, self.was_high = 0, None, False
        self.commands, self.next_sample = set(), 0.0

    def server_time(self):
        if self.clock is None:
            return datetime.now(timezone.utc)
        return self.clock[0] + timedelta(seconds=time.monotonic() - self.clock[1])

    def stamp(self):
        return self.server_time().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def observe(self, said, took_s):
        at = datetime.fromisoformat(said.replace("Z", "+00:00")) + timedelta(seconds=took_s / 2)
        if self.clock is None or took_s / 2 <= self.clock[2] + (time.monotonic() - self.clock[1]) * 1e-4:
            self.clock = (at, time.monotonic(), took_s / 2)

    def say(self, kind, payload, record=None, timestamp=None):
        self.sequence += 1
        message = {"version": 1, "type": kind, "machine_id": self.memory.kept["machine_id"],
                   "sequence": self.sequence, "timestamp": timestamp or self.stamp(), "payload": payload}
        if self.session is not None:
            message["session"] = self.session
        if record is not None:
            message["record"] = record
        # A little below the rate of `welcome`, without a burst.
        time.sleep(max(0.0, self.next_say - time.monotonic()))
        self.next_say = time.monotonic() + self.pace_s
        self.ws.send(message)

    def state(self):
        memory_bytes, uname = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), platform.uname()
        return {"full": {
            "identity": {"name": self.options.name, "kind": self.options.kind, "region": self.options.region},
            "hardware": {"architecture": uname.machine, "processors": os.cpu_count() or 1,
                         "memory_bytes": memory_bytes},
            "platform": {"os": uname.system, "kernel": uname.release, "boot_id": self.boot_id,
                         "booted_at": self.booted_at},
            "deployment": {"agent_version": "python-1", "phase": "idle"},
            "operation": {"mode": "idle", "safety": "operational", "authority": "none", "mission": "idle"},
            "health": {"level": "ok", "problems": []}}}

    def tell_state(self):
        self.memory.record("state", self.stamp(), self.state())

    def send_records(self):
        for number, kind, timestamp, payload in self.memory.kept["outbox"]:
            if number > self.sent:
                self.say(kind, payload, number, timestamp)
                self.sent = number

    def heartbeat(self):
        link = {"connects": self.connects, "outbox": len(self.memory.kept["outbox"]), "dropped": 0}
        if self.round_trip_ms is not None:
            link["round_trip_ms"] = self.round_trip_ms
        offset = (self.server_time() - datetime.now(timezone.utc)).total_seconds()
        clock = {"offset_ms": int(offset * 1000), "uncertainty_ms": int(self.clock[2] * 1000) + 1}
        self.say("heartbeat", {"uptime_s": int(time.monotonic() - self.started), "link": link,
                               "safety": "operational", "authority": "none", "clock": clock})
        self.beat_sequence, self.beat_at = self.sequence, time.monotonic()

    def sample(self):
        load = os.getloadavg()[0]
        self.say("telemetry", {"samples": [{"metric": "load.1m", "value": load}]})
        if (load > self.options.load_high) != self.was_high:
            self.was_high = not self.was_high
            kind, severity = ("load.high", "warning") if self.was_high else ("load.normal", "info")
            event = {"kind": kind, "severity": severity, "message": f"The load is {load:.2f}", "data": {"load": load}}
            self.memory.record("event", self.stamp(), event)

    def take(self, message):
        if message["machine_id"] != self.memory.kept["machine_id"]:
            raise Gone("the server spoke to another machine")
        kind, payload = message["type"], message["payload"]
        if kind == "bye":
            for_good = payload["reason"] in ("revoked", "unsupported_version")
            wait_ms = payload.get("retry_after_ms") or (30_000 if payload["reason"] in ("violation", "fenced") else 0)
            raise Gone(f"bye, {payload['reason']}: {payload['message']}", None if for_good else wait_ms / 1000)
        if message["session"] != self.session or message["sequence"] <= self.heard:
            return
        if message["sequence"] != self.heard + 1:
            raise Gone("a message of the server is missing")
        self.heard += 1
        if kind == "ack":
            self.memory.acknowledged(payload["record"])
            if payload.get("heartbeat") == self.beat_sequence:
                took_s = time.monotonic() - self.beat_at
                self.round_trip_ms = int(took_s * 1000)
                self.observe(message["timestamp"], took_s)
        elif kind == "resync":
            first = self.memory.kept["outbox"][0][0] if self.memory.kept["outbox"] else self.memory.kept["highest"] + 1
            if payload["next_record"] < first:
                raise Gone("the server lacks records that are not here any more")
            self.tell_state()
            self.sent = payload["next_record"] - 1
        elif kind == "command":
            known = payload["id"] in self.commands
            self.commands.add(payload["id"])
            answer = {"command_id": payload["id"], "outcome": "duplicate" if known else "refused"}
            if not known:
                answer["reason"] = "this agent only watches"
            self.memory.record("response", self.stamp(), answer)

    def connection(self):
        kept = self.memory.kept
        self.session, self.sequence, self.pace_s, self.next_say = None, 0, 0.0, 0.0
        hello = {"versions": [1], "minor": 0, "agent_version": "python-1", "boot_id": self.boot_id,
                 "capabilities": ["state", "telemetry", "events"], "last_session": kept["session"],
                 "highest_record": kept["highest"]}
        if kept["outbox"]:
            hello["records"] = {"first": kept["outbox"][0][0], "last": kept["highest"]}
        said_hello = time.monotonic()
        self.say("hello", hello)
        while not (message := self.ws.receive(10 - (time.monotonic() - said_hello))):
            if message is None:
                raise Gone("no welcome in time")
        if message["type"] != "welcome":
            self.take(message)
            raise Gone(f"{message['type']} instead of welcome")
        welcome = message["payload"]
        self.heard, self.session = message["sequence"], welcome["session"]
        self.observe(welcome["server_time"], time.monotonic() - said_hello)
        self.pace_s = 1.1 / welcome["limits"]["messages_per_s"]
        self.memory.acknowledged(welcome["highest_record"])
        kept["session"], kept["highest"] = self.session, max(kept["highest"], welcome["highest_record"])
        self.sent, self.connects = welcome["highest_record"], self.connects + 1
        self.tell_state()
        print(f"session {self.session}", flush=True)
        next_beat, heard_at = 0.0, time.monotonic()
        while True:
            now = time.monotonic()
            if now >= next_beat:
                self.heartbeat()
                next_beat = now + welcome["heartbeat_interval_ms"] / 1000
            if now >= self.next_sample:
                self.sample()
                self.next_sample = now + self.options.sample_every
            self.send_records()
            message = self.ws.receive(min(next_beat, self.next_sample) - time.monotonic())
            if message is not None:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > SILENCE_MAX_S:
                raise Gone("nothing heard for too long")
            if message:
                self.take(message)

    def run(self):
        failures = 0
        while True:
            self.ws, self.session = None, None
            try:
                self.ws = WebSocket(self.options.server, "muster.v1")
                self.connection()
            except (Gone, OSError) as gone:
                wait_s = getattr(gone, "wait_s", 0.0)
                print(f"not connected: {gone}", file=sys.stderr, flush=True)
            finally:
                if self.ws is not None:
                    self.ws.close()
            if wait_s is None:
                return 1
            failures = 0 if self.session is not None else failures
            time.sleep(wait_s + random.uniform(0, min(30.0, 0.5 * 2 ** min(failures, 10))))
            failures += 1


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="A machine of a Muster fleet, in Python")
    arguments.add_argument("--server", default="ws://127.0.0.1:7700/machine")
    arguments.add_argument("--data", required=True, help="folder in which identity and unacknowledged records are kept")
    arguments.add_argument("--name", default=socket.gethostname())
    arguments.add_argument("--kind", default="host")
    arguments.add_argument("--region", default=None)
    arguments.add_argument("--sample-every", type=float, default=5.0, metavar="SECONDS")
    arguments.add_argument("--load-high", type=float, default=float(os.cpu_count() or 1),
                           help="a load above this is an event")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        sys.exit(Agent(arguments.parse_args()).run())
    except KeyboardInterrupt:
        pass
