// The cache key of an object, and its invalidation.
//
// The cache key is the object's path and its generation. An invalidation raises the generation. So nginx never
// again finds what was cached before, nor what a fetch under way will store, which uses the old generation.
// Generations are stored for two days (caching.conf), longer than nginx keeps an object that nobody requests
// (one day). nginx writes generations to disk within a second or two. If it is killed sooner it loses them, and
// would find what a fetch under way has stored; the files that were deleted here stay deleted.
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

// POST {"object_keys": [...]}: 204 when none of them is cached any more. May be repeated.
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
    paths.filter((path) => path !== '').forEach(invalidate);
    counters.add('purged_objects', paths.length);
    r.return(204);
}

function invalidate(path) {
    const file = file_of(key_of(path));
    // It starts with the clock, so that a path whose generation has expired gets one that was never used.
    ngx.shared.generations.incr(path, 1, Date.now());
    try {
        fs.unlinkSync(file);
    } catch (e) {
        if (e.code !== 'ENOENT') {
            throw e;
        }
    }
}

// The file in which nginx caches it: levels=1:2 of the key's MD5.
function file_of(cache_key) {
    const name = crypto.createHash('md5').update(cache_key).digest('hex');
    return facts.cache + '/' + name.substring(31) + '/' + name.substring(29, 31) + '/' + name;
}

export default { key, purge };
