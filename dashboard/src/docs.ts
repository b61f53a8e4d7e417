/** The viewer of the API's own document: a page of its own, so that the dashboard does not carry it. */
import 'rapidoc';

const dark = document.documentElement.getAttribute('data-mantine-color-scheme') === 'dark';
const viewer = document.createElement('rapi-doc');
const settings: Record<string, string> = {
  'spec-url': '/api/v1/openapi.json',
  'server-url': location.origin,
  'load-fonts': 'false',
  'regular-font': 'system-ui, sans-serif',
  'mono-font': 'ui-monospace, Menlo, Consolas, monospace',
  'theme': dark ? 'dark' : 'light',
  'primary-color': dark ? '#74b9ff' : '#0b5cad',
  'render-style': 'read',
  'show-header': 'false',
  'allow-authentication': 'false',
  'allow-server-selection': 'false',
  'allow-spec-file-download': 'true',
  'schema-style': 'table',
  'nav-bg-color': '#16222e',
  'nav-text-color': '#d5dee6',
  'nav-hover-bg-color': '#22344a',
  'nav-hover-text-color': '#ffffff',
  'nav-accent-color': '#5cc98b',
};
for (const [name, value] of Object.entries(settings)) viewer.setAttribute(name, value);
const back = document.createElement('a');
back.slot = 'nav-logo';
back.href = '/';
back.textContent = '← Muster, the fleet';
back.style.cssText = `padding: 14px 18px; font-weight: 650; text-decoration: none; color: #fff`;
viewer.append(back);
document.body.style.margin = '0';
document.body.append(viewer);
