import { describe, expect, test } from 'vitest';
import { arranged, DEFAULT_COLUMNS } from '@/pages/fleet/columns';

const keys = (chosen: readonly string[], narrow: boolean) => arranged(chosen, narrow).map((column) => column.key);

describe('the columns of the fleet', () => {
  test('stand in their own order, whatever order they were chosen in', () => {
    expect(keys(['status', 'kind'], false)).toEqual(['name', 'kind', 'status']);
    expect(keys(DEFAULT_COLUMNS, false)).toEqual(DEFAULT_COLUMNS);
  });

  test('begin with name and status on a narrow screen, where both fit', () => {
    const columns = arranged(DEFAULT_COLUMNS, true);
    expect(columns.slice(0, 2).map((column) => column.key)).toEqual(['name', 'status']);
    expect(columns.slice(0, 2).reduce((sum, column) => sum + column.min, 0)).toBeLessThanOrEqual(360);
    expect(columns).toHaveLength(DEFAULT_COLUMNS.length);
  });

  test('without status are left alone', () => {
    expect(keys(['kind'], true)).toEqual(['name', 'kind']);
  });
});
