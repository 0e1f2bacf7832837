// Cross-origin requests (CORS): pages of the configured origins may read what is here; without any, none may.

const PREFLIGHT_LIFE_S = '7200';  // Chromium caches a preflight for no longer.

// The Access-Control-Allow-Origin of a request; empty where its origin may not read. Preloaded facts have no methods
// of arrays, so the origins are the names of an object.
function origin(r) {
    if (facts.cors_origins['*'] === true) {
        return '*';
    }
    const asked = r.headersIn.Origin || '';
    return facts.cors_origins[asked] === true ? asked : '';
}

function vary() {
    return Object.keys(facts.cors_origins).length > 0 ? 'Origin' : '';
}

function is_preflight(r) {
    return r.method === 'OPTIONS' && origin(r) !== '' && 'Access-Control-Request-Method' in r.headersIn;
}

// A browser sends the signature with the request that follows, so a preflight needs none.
function allow(r, methods, headers) {
    r.headersOut['Access-Control-Allow-Methods'] = methods;
    r.headersOut['Access-Control-Allow-Headers'] = headers;
    r.headersOut['Access-Control-Max-Age'] = PREFLIGHT_LIFE_S;
    r.return(204);
}

export default { origin, vary, is_preflight, allow };
