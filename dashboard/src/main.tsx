import '@mantine/core/styles.css';
import './styles/tokens.css';
import './styles/base.css';
import { localStorageColorSchemeManager, MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { ApiError } from './api/client';
import { router } from './router';
import { cssVariables, theme } from './theme';

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      staleTime: 5_000,
      // A refusal stays a refusal; anything else may be a server that is just coming up.
      retry: (count, error) => count < 2 && !(error instanceof ApiError && error.problem.status in CLIENT_ERRORS),
      retryDelay: (attempt) => 400 * 2 ** attempt * (0.5 + Math.random() / 2),
      networkMode: 'always',
    },
  },
});

const CLIENT_ERRORS: Partial<Record<number, true>> = { 400: true, 401: true, 403: true, 404: true, 409: true, 410: true, 412: true, 422: true };

// A page that the browser kept may show what was loaded for somebody who signed out since.
globalThis.addEventListener('pageshow', (event) => {
  if (event.persisted) globalThis.location.reload();
});

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={cssVariables}
        defaultColorScheme="auto"
        colorSchemeManager={localStorageColorSchemeManager({ key: 'muster-colour-scheme' })}
      >
        <RouterProvider router={router} />
      </MantineProvider>
    </QueryClientProvider>
  </StrictMode>,
);
