import { Button } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { Empty } from '@/kit/faces';

export function NotFound() {
  const navigate = useNavigate();
  return (
    <Empty
      whole
      title="There is no such page"
      action={<Button size="sm" onClick={() => void navigate({ to: '/' })}>To the fleet</Button>}
    >
      <span className="mono">{globalThis.location.pathname}</span> leads nowhere. Machines are at{' '}
      <span className="mono">/machines/ID</span>.
    </Empty>
  );
}
