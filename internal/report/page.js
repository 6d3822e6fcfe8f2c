'use strict';
document.documentElement.classList.add('js');
document.addEventListener('click', async (e) => {
  const b = e.target.closest('button.copy');
  if (!b) return;
  const code = b.parentElement.querySelector('code');
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Pages opened from a file may have no clipboard: select the text, and copy the old way.
    const r = document.createRange();
    r.selectNodeContents(code);
    const s = getSelection();
    s.removeAllRanges();
    s.addRange(r);
    document.execCommand('copy');
  }
  b.textContent = 'copied';
  setTimeout(() => { b.textContent = 'copy'; }, 1500);
});
const text = document.getElementById('filter');
if (text) {
  const kind = document.getElementById('kind'), count = document.getElementById('count');
  const rows = [...document.querySelectorAll('.all tbody tr')].map((tr) => ({
    tr, name: tr.cells[0].textContent.toLowerCase(), bad: !!tr.querySelector('.b'), odd: !!tr.querySelector('.b,.w'),
  }));
  const show = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const r of rows) {
      const on = words.every((w) => r.name.includes(w)) && (kind.value === 'all' || (kind.value === 'bad' ? r.bad : r.odd));
      r.tr.hidden = !on;
      if (on) n++;
    }
    count.textContent = `${n} of ${rows.length} cases`;
  };
  let wait;
  text.addEventListener('input', () => { clearTimeout(wait); wait = setTimeout(show, 120); });
  kind.addEventListener('change', show);
  show();
}
