/**
 * Scopes as the server takes them (`crates/model/src/access.rs`): everything, or a filter over what people decide of machines. Written
 * again here so that a mistake is said while it is typed; the server looks again.
 */
import { parseFilter } from '@/fleet/filter';

export const EVERYTHING = '*';
export const SCOPE_MAX_BYTES = 512;

/** What is wrong with a scope; null: nothing. */
export function scopeFault(text: string): string | null {
  const scope = text.trim();
  if (scope === EVERYTHING) return null;
  if (scope === '') return 'It is empty: write label.KEY=VALUE, or take every machine';
  if (new TextEncoder().encode(scope).length > SCOPE_MAX_BYTES) return `A scope has at most ${SCOPE_MAX_BYTES} bytes`;
  const parsed = parseFilter(scope);
  if (!parsed.ok) return `${parsed.message.charAt(0).toUpperCase()}${parsed.message.slice(1)}`;
  for (const term of parsed.filter.terms) {
    const decided = term.kind === 'words' && (term.field === 'id' || term.field.startsWith('label.'));
    if (!decided) return `“${term.text}” is what machines say of themselves, and none must choose who may see it: give the machines a label, and name that`;
    if (term.operator === '!=') return `“${term.text}” lets in machines that nobody thought of: name what they have, with = or ~`;
  }
  return null;
}
