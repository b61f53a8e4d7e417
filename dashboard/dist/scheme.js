// Sets light or dark before the first paint, so that nothing flashes. Mantine keeps the choice under this key.
(function () {
  var choice = 'auto';
  try {
    choice = localStorage.getItem('muster-colour-scheme') || 'auto';
  } catch {
    // Storage is switched off: follow the system.
  }
  var dark = choice === 'dark' || (choice !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
})();
