import { describe, expect, it } from 'vitest';
import { EventReader, matches, streamPath, wants } from '../../src/live/sse';

describe('server-sent events', () => {
  it('are read however they are cut', () => {
    const text = 'retry: 2000\n\nid: 7\nevent: snapshot\ndata: {"a":1}\n\n:\n\ndata: {"b":\ndata: 2}\n\n';
    for (let size = 1; size < text.length; size += 1) {
      const reader = new EventReader();
      const found: string[] = [];
      for (let at = 0; at < text.length; at += size) found.push(...reader.push(text.slice(at, at + size)));
      expect(found).toEqual(['{"a":1}', '{"b":\n2}']);
    }
  });

  it('carry all that is asked for in one request', () => {
    const path = streamPath(
      [
        { id: 'fleet', topics: ['machine.*.state'], throttle: { rate_per_s: 4, strategy: 'latest' } },
        { id: 'events', topics: ['machine.*.event.>'], throttle: { rate_per_s: 2, strategy: 'latest' } },
      ],
      12,
    );
    const query = new URL(path, 'http://x').searchParams;
    expect(Object.fromEntries(query)).toEqual({ topics: 'fleet.summary,machine.*.state,machine.*.event.>', rate: '4', resume_after: '12' });
    expect(streamPath([], null)).toBe('/api/v1/stream?topics=fleet.summary&rate=1');
  });
});

const event = (kind: string, severity: string) => ({ topic: `machine.a.event.${kind}`, data: { kind, severity } });

describe('an item', () => {
  it.each([
    ['machine.*.state', 'machine.a.state', true],
    ['machine.*.state', 'machine.a.log', false],
    ['machine.*.state', 'machine.a.b.state', false],
    ['machine.a.event.>', 'machine.a.event.thermal.high', true],
    ['machine.a.event.>', 'machine.a.event', false],
    ['>', 'fleet.summary', true],
  ])('of the pattern %s: %s is %s', (pattern, topic, expected) => {
    expect(matches(pattern, topic)).toBe(expected);
  });

  it('passes the filters of its subscription', () => {
    const request = { id: 'e', topics: ['machine.*.event.>'], filters: { severity: 'warning' as const, event_types: ['thermal'] } };
    expect(wants(request, event('thermal.high', 'error'))).toBe(true);
    expect(wants(request, event('thermal.high', 'info'))).toBe(false);
    expect(wants(request, event('thermally', 'error'))).toBe(false);
    expect(wants({ id: 'l', topics: ['machine.a.log'] }, { topic: 'machine.a.log', data: { severity: 'debug' } })).toBe(true);
  });
});
