// Signatures of AWS, version 4: how a request of S3 is signed and with what.
import crypto from 'crypto';

const ALGORITHM = 'AWS4-HMAC-SHA256';

// Everything but A-Z a-z 0-9 - . _ ~ is percent-encoded.
function encoded(text) {
    return encodeURIComponent(text).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());
}

function date(milliseconds) {
    return new Date(milliseconds).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

// The signature, in hexadecimal. `signed` has: method, path, query, headers ([name, value] in the order of the
// names, which are in lower case), payload (the body's hash), date, region.
function signature(secret_key, signed) {
    const lines = signed.headers.map((header) => header[0] + ':' + header[1]);
    const canonical = [signed.method, signed.path, signed.query].concat(lines, '', names(signed), signed.payload);
    const digest = crypto.createHash('sha256').update(canonical.join('\n')).digest('hex');
    const key = scope(signed).split('/').reduce(hmac, 'AWS4' + secret_key);
    return hmac(key, [ALGORITHM, signed.date, scope(signed), digest].join('\n')).toString('hex');
}

function authorization(access_key, secret_key, signed) {
    return ALGORITHM + ' Credential=' + access_key + '/' + scope(signed) + ', SignedHeaders=' + names(signed)
        + ', Signature=' + signature(secret_key, signed);
}

function scope(signed) {
    return [signed.date.substring(0, 8), signed.region, 's3', 'aws4_request'].join('/');
}

function names(signed) {
    return signed.headers.map((header) => header[0]).join(';');
}

function hmac(key, text) {
    return crypto.createHmac('sha256', key).update(text).digest();
}

export default { ALGORITHM, authorization, date, encoded, signature };
