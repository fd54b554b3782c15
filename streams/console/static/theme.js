// Before the page is drawn, so that it does not flash: the reader's own choice, else the system's.
"use strict";
{
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
