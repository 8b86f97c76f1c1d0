// Loaded after require.js: tells it where anywidget lies, so that widgets draw without a kernel and without a network.
requirejs.config({
  paths: { anywidget: new URL("anywidget", document.currentScript.src).href },
});
window.obvFonts = new URL("fontawesome/webfonts/", document.currentScript.src).href;
// ipywidgets asks for MathJax 2's queue to set a label; this book carries MathJax 3.
window.addEventListener("load", () => {
  if (window.MathJax && !MathJax.Hub) {
    MathJax.Hub = { Queue: ([, , element]) => MathJax.typesetPromise?.([element]) };
  }
});
