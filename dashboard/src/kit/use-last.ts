import { useState } from 'react';

/** The latest value that was there: what is shown while a newer one cannot be had. */
export function useLast<T>(value: T | undefined): T | undefined {
  const [last, setLast] = useState(value);
  if (value !== undefined && value !== last) setLast(value);
  return value ?? last;
}
