document.querySelectorAll('table.sorts').forEach(t=>t.querySelectorAll('th').forEach((h,i)=>{h.onclick=()=>{
const b=t.tBodies[0],up=h.getAttribute('aria-sort')!=='ascending',v=r=>r.cells[i].textContent,
n=s=>parseFloat(s.replace('\u2212','-'));t.querySelectorAll('th').forEach(o=>o.removeAttribute('aria-sort'));
h.setAttribute('aria-sort',up?'ascending':'descending');
[...b.rows].sort((p,q)=>{const x=n(v(p)),y=n(v(q)),c=isNaN(x)&&isNaN(y)?v(p).localeCompare(v(q)):x-y;
return isNaN(c)?isNaN(x)-isNaN(y):up?c:-c}).forEach(r=>b.append(r))}}));
