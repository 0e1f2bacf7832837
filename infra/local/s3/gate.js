// The gate of S3: which requests pass. It refuses as S3 does what the store behind it would not.
//
// A request passes if it is signed, signs every x-amz-* header that it has, and is one of the operations that
// this system needs. The store trusts another key, which only the gate has: no signature that was given away
// is good there.
import cors from 'cors.js';
import object_path from 'object_path.js';
import operations from 'operations.js';
import signed_request from 'signed_request.js';
import sigv4 from 'sigv4.js';

function admit(r) {
    if (cors.is_preflight(r)) {
        cors.allow(r, 'PUT', 'Content-Type, If-None-Match');  // What a signed upload sends.
        return;
    }
    try {
        forward(r, checked(r));
    } catch (refusal) {
        if (refusal.code === undefined || refusal.status === undefined) {
            throw refusal;  // A bug.
        }
        answer(r, refusal.status, refusal.code, refusal.text);
    }
}

function checked(r) {
    const request = signed_request.read(r);
    const path = decoded_path(request.path);
    const slash = path.indexOf('/');
    const bucket = slash < 0 ? path : path.substring(0, slash);
    const key = slash < 0 ? '' : path.substring(slash + 1);
    if (bucket !== facts.s3_bucket) {
        throw { status: 403, code: 'AccessDenied', text: 'There is one bucket.' };
    }
    request.store_path = '/' + bucket + (key === '' ? '' : object_path.encoded(key));
    if (key !== '' && object_path.encoded(key) === '') {
        throw { status: 400, code: 'InvalidArgument', text: 'A key has no segment . or .. here.' };
    }
    if (request.access_key === facts.s3_read_access_key && !is_readable(r.method, key)) {
        throw { status: 403, code: 'AccessDenied', text: 'This key reads what browsers may see.' };
    }
    operations.require_known(r.method, key === '' ? 'bucket' : 'object', request);
    return request;
}

function decoded_path(path) {
    try {
        return decodeURIComponent(path.substring(1));
    } catch (e) {
        throw { status: 400, code: 'InvalidURI', text: 'The path is not UTF-8.' };
    }
}

function is_readable(method, key) {
    return (method === 'GET' || method === 'HEAD') && key !== '' && !object_path.is_private(key);
}

// Everything that the store reads of a request was checked here or is signed here.
function forward(r, request) {
    const v = r.variables;
    const query = request.args.filter((arg) => !signed_request.is_authentication(arg[0]));
    const text = signed_request.canonical_query(query);
    const date = sigv4.date(Date.now());
    const signed = {
        method: r.method, path: request.store_path, query: text, payload: request.payload, date,
        region: facts.s3_region,
        headers: [['host', facts.store_host], ['x-amz-content-sha256', request.payload], ['x-amz-date', date]],
    };
    v.store_date = date;
    v.store_payload = request.payload;
    v.store_authorization = sigv4.authorization(facts.store_access_key, facts.store_secret_key, signed);
    v.store_uri = request.store_path + (text === '' ? '' : '?' + text);
}

function unavailable(r) {
    answer(r, 503, 'ServiceUnavailable', 'The store does not answer.');
}

function answer(r, status, code, text) {
    r.headersOut['Content-Type'] = 'application/xml';
    r.return(status, '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>' + code + '</Code><Message>' + text
             + '</Message></Error>\n');
}

export default { admit, unavailable };
