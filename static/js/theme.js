// Light or dark: the system's choice until a person makes one, which is remembered. Runs before the first paint.
const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
