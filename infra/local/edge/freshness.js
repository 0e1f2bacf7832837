// For how long CDN edges and browsers may cache a response.

// For an object without a lifetime in its Cache-Control; caching.conf has the same value for the caches.
const UNSAID_S = 60;

function directives(text) {
    const said = {};
    (text || '').toLowerCase().split(',').forEach((each) => {
        const parts = each.trim().split('=');
        said[parts[0]] = parts.length > 1 ? parts[1].replace(/"/g, '') : '';
    });
    return said;
}

function seconds(text, otherwise) {
    return /^\d+$/.test(text || '') ? Number(text) : otherwise;
}

// For a CDN edge, as X-Accel-Expires: the rest of the object's lifetime, so that two caches do not double it.
// A cached object that is being refreshed is valid for one second; by then the new one has arrived.
function for_edges(r) {
    const v = r.variables;
    if (v.status !== '200') {
        return '';
    }
    if (v.upstream_cache_status === 'STALE' || v.upstream_cache_status === 'UPDATING') {
        return '1';
    }
    const said = directives(v.upstream_http_cache_control);
    if ('no-store' in said || 'no-cache' in said || 'private' in said) {
        return '0';
    }
    const life_s = seconds(said['s-maxage'], seconds(said['max-age'], UNSAID_S));
    const fetched_s = Date.parse(v.upstream_http_date) / 1000;
    const age_s = fetched_s ? Math.max(0, Math.floor(Date.now() / 1000 - fetched_s)) : 0;
    return String(life_s === 0 ? 0 : Math.max(1, life_s - age_s));
}

// For a browser, as Cache-Control: no longer than the object says, and no longer than its URL is valid.
function for_browser(r) {
    const v = r.variables;
    if (['200', '206', '304'].indexOf(v.status) < 0) {
        return 'no-store';
    }
    const said = directives(v.upstream_http_cache_control);
    if ('no-store' in said || 'no-cache' in said) {
        return 'private, no-store';
    }
    const url_life_s = Math.floor(Number(v.arg_Expires) - Date.now() / 1000);
    return 'private, max-age=' + Math.max(0, Math.min(seconds(said['max-age'], UNSAID_S), url_life_s));
}

export default { for_edges, for_browser };
