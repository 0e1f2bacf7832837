// The cached copies of an object, and forgetting them.
//
// A copy is kept under the object's path and its generation. Forgetting raises the generation, so what was
// cached before is never found again, and neither is what a fetch that is under way will store: it was begun
// under the old one. A generation is remembered for two days (caching.conf), longer than nginx keeps a copy that
// nobody asks for (one day). nginx writes generations to disk within a second or two: one that is killed sooner
// forgets them, and would find what a fetch that was under way has stored; what was unlinked is gone anyway.
import crypto from 'crypto';
import fs from 'fs';
import counters from 'counters.js';
import object_path from 'object_path.js';
import secret from 'secret.js';

function key(r) {
    return key_of(r.variables.object_path);
}

function key_of(path) {
    const generation = ngx.shared.generations.get(path);
    return generation === undefined ? path : path + '#' + generation;  // A path has no bare #.
}

// POST {"object_keys": [...]}: 204 when none of them is found any more. May be repeated.
function purge(r) {
    if (r.method !== 'POST' || !secret.is_known(r)) {
        r.return(403);
        return;
    }
    let paths;
    try {
        paths = JSON.parse(r.requestText).object_keys.map(object_path.encoded);
    } catch (e) {
        r.return(400, 'the body is to be {"object_keys": ["KEY", ...]}\n');
        return;
    }
    paths.filter((path) => path !== '').forEach(forget);
    counters.add('purged_objects', paths.length);
    r.return(204);
}

function forget(path) {
    const file = file_of(key_of(path));
    // The clock starts it, so that a path forgotten, remembered no more and forgotten again has a new one.
    ngx.shared.generations.incr(path, 1, Date.now());
    try {
        fs.unlinkSync(file);
    } catch (e) {
        if (e.code !== 'ENOENT') {
            throw e;
        }
    }
}

// Where nginx keeps it: levels=1:2 of the key's MD5.
function file_of(cache_key) {
    const name = crypto.createHash('md5').update(cache_key).digest('hex');
    return facts.cache + '/' + name.substring(31) + '/' + name.substring(29, 31) + '/' + name;
}

export default { key, purge };
