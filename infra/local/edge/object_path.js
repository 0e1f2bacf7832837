// Which object a request is for, in one spelling: the path that SigV4 signs and that caches are keyed by.
//
// Everything but A-Z a-z 0-9 - . _ ~ and the slash is percent-encoded, as S3 wants it. A path is '' where it
// names no object that may be asked for.
import sigv4 from 'sigv4.js';

// What this system stores itself is under this first segment, with a namespace as `shutterline-NAMESPACE`.
const OURS = /^shutterline(-.*)?$/;

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
        const key = decodeURIComponent(path.substring(1));
        return is_private(key) ? '' : encoded(key);
    } catch (e) {  // Not UTF-8, and keys are.
        return '';
    }
}

// An original has the bytes that its author sent, GPS position included. So of our own objects only renditions
// are served, whatever the signature. A store that keeps objects as files merges slashes, so empty segments do not
// count.
function is_private(key) {
    const segments = key.split('/').filter((segment) => segment !== '');
    return OURS.test(segments[0] || '') && segments[1] !== 'renditions';
}

function encoded(key) {
    const segments = key.split('/');
    // Dots are no key that a browser could ask for, and a store that keeps objects as files might follow them.
    if (segments.indexOf('.') >= 0 || segments.indexOf('..') >= 0) {
        return '';
    }
    return '/' + segments.map(sigv4.encoded).join('/');
}

export default { requested, refreshed, encoded, is_private };
