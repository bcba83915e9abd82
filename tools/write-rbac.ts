import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { renderRbac, renderRights, RIGHTS_BEGIN, RIGHTS_END } from './rbac/render-rbac.ts';

const folder = fileURLToPath(new URL('../manifests/rbac/', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const [name, text] of renderRbac()) writeFileSync(`${folder}${name}`, text);

const page = fileURLToPath(new URL('../docs/security.md', import.meta.url));
const text = readFileSync(page, 'utf8');
const [begin, end] = [text.indexOf(RIGHTS_BEGIN), text.indexOf(RIGHTS_END)];
if (begin < 0 || end < begin) throw new Error(`${page} has no place for the rights`);
writeFileSync(page, text.slice(0, begin) + renderRights() + text.slice(end + RIGHTS_END.length + 1));
