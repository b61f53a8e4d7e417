/**
 * The table of machines. Only the rows on the screen exist, each listens to its own machine, and scrolling moves them
 * in steps of several rows, so that ten thousand live machines stay smooth.
 */
import { useNavigate } from '@tanstack/react-router';
import { memo, useCallback, useEffect, useState, useSyncExternalStore, type KeyboardEvent, type MouseEvent } from 'react';
import type { Sort } from '@/fleet/order';
import type { FleetStore } from '@/fleet/store';
import { DownIcon, UpIcon } from '@/kit/icons';
import { useElementWidth } from '@/kit/use-width';
import { DENSITIES, type Column, type Density } from './columns';
import classes from './table.module.css';

const HEADER_PX = 34;
/** Rows kept ready above and below the screen. */
const OVERSCAN = 8;
/** The rendered range moves in steps of so many rows. */
const STRIDE = 4;

interface TableProps {
  store: FleetStore;
  ids: readonly string[];
  columns: readonly Column[];
  density: Density;
  sort: Sort;
  onSort: (sort: Sort) => void;
  /** The pointer moved over the rows. */
  onTouch: () => void;
}

export function FleetTable({ store, ids, columns, density, sort, onSort, onTouch }: TableProps) {
  const { ref, height } = useElementWidth<HTMLDivElement>();
  const navigate = useNavigate();
  const rowPx = DENSITIES[density];
  const [start, setStart] = useState(0);
  const [activeId, setActiveId] = useState<string | null>(null);

  const pool = Math.ceil(Math.max(height, 200) / rowPx) + 2 * OVERSCAN + STRIDE;
  const first = Math.max(0, Math.min(start, ids.length - 1) - OVERSCAN);
  const visible = ids.slice(first, first + pool);
  const activeIndex = activeId === null ? -1 : ids.indexOf(activeId);

  const onScroll = useCallback(() => {
    const top = ref.current?.scrollTop ?? 0;
    setStart(Math.floor(top / rowPx / STRIDE) * STRIDE);
  }, [ref, rowPx]);
  useEffect(onScroll, [onScroll]);

  const open = (id: string) => void navigate({ to: '/machines/$id', params: { id }, search: {} });

  const activate = (index: number) => {
    const id = ids[Math.max(0, Math.min(ids.length - 1, index))];
    const box = ref.current;
    if (id === undefined || box === null) return;
    setActiveId(id);
    const top = Math.max(0, Math.min(ids.length - 1, index)) * rowPx;
    const room = box.clientHeight - HEADER_PX;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + rowPx > box.scrollTop + room) box.scrollTop = top + rowPx - room;
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor((height - HEADER_PX) / rowPx) - 1);
    const from = activeIndex < 0 ? -1 : activeIndex;
    const moves: Partial<Record<string, number>> = {
      ArrowDown: from + 1, ArrowUp: from - 1, PageDown: from + page, PageUp: from - page, Home: 0, End: ids.length - 1,
    };
    const target = moves[event.key];
    if (target !== undefined) {
      activate(target);
      event.preventDefault();
    } else if (event.key === 'Enter' && activeId !== null) open(activeId);
  };

  const onClick = (event: MouseEvent) => {
    const row = (event.target as Element).closest<HTMLElement>('[data-id]');
    if (row?.dataset['id'] === undefined || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (document.getSelection()?.isCollapsed === false) return;
    open(row.dataset['id']);
  };

  const template = columns.map((column) => column.width).join(' ');
  const minWidth = columns.reduce((sum, column) => sum + column.min, 0);
  return (
    <div
      ref={ref}
      className={classes.grid}
      data-density={density}
      role="grid"
      tabIndex={0}
      aria-label="Machines"
      aria-rowcount={ids.length + 1}
      aria-colcount={columns.length}
      aria-activedescendant={activeIndex >= first && activeIndex < first + pool ? `row-${activeId}` : undefined}
      style={{ ['--columns' as string]: template, ['--row' as string]: `${rowPx}px` }}
      onScroll={onScroll}
      onKeyDown={onKeyDown}
      onClick={onClick}
      onPointerMove={onTouch}
    >
      <div className={classes.inner} style={{ minWidth }} role="presentation">
        <div role="rowgroup" className={classes.head}>
          <div role="row" aria-rowindex={1} className={classes.headRow}>
            {columns.map((column, index) => (
              <HeadCell key={column.key} column={column} index={index} sort={sort} onSort={onSort} />
            ))}
          </div>
        </div>
        <div role="rowgroup" className={classes.body} style={{ height: ids.length * rowPx }}>
          {visible.map((id, offset) => (
            <Row
              key={(first + offset) % pool}
              store={store}
              id={id}
              top={(first + offset) * rowPx}
              rowIndex={first + offset + 2}
              odd={(first + offset) % 2 === 1}
              active={id === activeId}
              columns={columns}
            />
          ))}
        </div>
      </div>
    </div>
  );
}

interface HeadCellProps {
  column: Column;
  index: number;
  sort: Sort;
  onSort: (sort: Sort) => void;
}

function HeadCell({ column, index, sort, onSort }: HeadCellProps) {
  const { sort: field } = column;
  const sorted = field !== undefined && field === sort.field;
  const order = sort.descending ? 'descending' : 'ascending';
  return (
    <div
      role="columnheader"
      aria-colindex={index + 1}
      aria-sort={field === undefined ? undefined : sorted ? order : 'none'}
      className={classes.headCell}
      data-figure={column.figure || undefined}
    >
      {field === undefined ? (
        column.label
      ) : (
        <button
          type="button"
          onClick={() => onSort({ field, descending: sorted ? !sort.descending : false })}
          title={`Sort by ${column.label.toLowerCase()}`}
        >
          {column.label}
          {sorted && (sort.descending ? <DownIcon size={12} /> : <UpIcon size={12} />)}
        </button>
      )}
    </div>
  );
}

interface RowProps {
  store: FleetStore;
  id: string;
  top: number;
  rowIndex: number;
  odd: boolean;
  active: boolean;
  columns: readonly Column[];
}

const Row = memo(function Row({ store, id, top, rowIndex, odd, active, columns }: RowProps) {
  const watch = useCallback((listener: () => void) => store.watchRow(id, listener), [store, id]);
  const row = useSyncExternalStore(watch, () => store.row(id));
  if (row === undefined) return null;
  return (
    <div
      id={`row-${id}`}
      role="row"
      aria-rowindex={rowIndex}
      aria-selected={active}
      className={classes.row}
      data-id={id}
      data-status={row.status}
      data-odd={odd || undefined}
      style={{ transform: `translateY(${top}px)` }}
    >
      {columns.map((column, index) => (
        <div key={column.key} role="gridcell" aria-colindex={index + 1} className={classes.cell} data-figure={column.figure || undefined}>
          {column.render(row)}
        </div>
      ))}
    </div>
  );
});
