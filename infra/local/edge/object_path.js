// Which object a request is for, in one spelling: the path that SigV4 signs and that caches are keyed by.
//
// Everything but A-Z a-z 0-9 - . _ ~ and the slash is percent-encoded, as S3 wants it. A path is '' where it
// names no object that may be asked for.

// nginx normalises its own $uri (slashes merge, dots go up); keys are any text, so the raw one is read.
function requested(r) {
    return of(r.variables.request_uri);
}

// The same, for /objects/KEY of the status port.
function refreshed(r) {
    return of(r.variables.request_uri.substring('/objects'.length));
}

function of(uri) {
    const path = uri.split('?')[0];
    // At least one character: the empty key would be the bucket's own listing.
    if (!/^\/[!-~]+$/.test(path)) {
        return '';
    }
    try {
        return encoded(decodeURIComponent(path.substring(1)));
    } catch (e) {  // Not UTF-8, and keys are.
        return '';
    }
}

function encoded(key) {
    const segments = key.split('/');
    // Dots are no key that a browser could ask for, and a store that keeps objects as files might follow them.
    if (segments.indexOf('.') >= 0 || segments.indexOf('..') >= 0) {
        return '';
    }
    return '/' + segments.map(encoded_segment).join('/');
}

function encoded_segment(text) {
    return encodeURIComponent(text).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());
}

export default { requested, refreshed, encoded };
