// Reads a request and checks its signature: in the Authorization header, or in the query of a presigned URL.
//
// What is thrown is a refusal: status, code (S3's) and text.
import crypto from 'crypto';
import sigv4 from 'sigv4.js';

const SKEW_MAX_MS = 15 * 60 * 1000;
const URL_LIFE_S_MAX = 7 * 24 * 3600;
const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
const AUTHENTICATION = ['X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Date', 'X-Amz-Expires',
                        'X-Amz-SignedHeaders', 'X-Amz-Signature'];
const HEADER = /^AWS4-HMAC-SHA256 +Credential=([^, ]+), *SignedHeaders=([^, ]+), *Signature=([0-9a-f]{64})$/;
const CREDENTIAL = /^([A-Za-z0-9]{1,64})\/([0-9]{8})\/([a-z0-9-]{1,32})\/s3\/aws4_request$/;
const DATE = /^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z$/;

// Returns path, args, headers (lists of [name, value]), access_key and payload (the hash of the body, or that
// it is unsigned).
function read(r) {
    const parts = r.variables.request_uri.split('?');
    const args = arguments_of(parts.slice(1).join('?'));
    const request = { path: parts[0], args, headers: headers_of(r), payload: '' };
    const auth = authentication(r, request);
    const credential = CREDENTIAL.exec(auth.credential) || denied('The credential is not one of S3.');
    request.access_key = credential[1];
    const secret_key = secret_key_of(request.access_key);
    request.payload = payload(request, auth);
    if (credential[2] !== auth.date.substring(0, 8)) {
        denied('The credential is of another day.');
    }
    const computed = sigv4.signature(secret_key, {
        method: r.method, path: request.path, payload: request.payload, date: auth.date, region: credential[3],
        query: canonical_query(args.filter((arg) => arg[0] !== 'X-Amz-Signature')),
        headers: signed_headers(request, auth.names),
    });
    // Of digests, because a comparison can tell how far it came.
    if (digest(computed) !== digest(auth.signature)) {
        refuse('SignatureDoesNotMatch', 'The signature is of another request.');
    }
    require_time(auth);
    return request;
}

function secret_key_of(access_key) {
    if (access_key === facts.s3_access_key) {
        return facts.s3_secret_key;
    }
    return access_key === facts.s3_read_access_key
        ? facts.s3_read_secret_key : refuse('InvalidAccessKeyId', 'There is no such key.');
}

function authentication(r, request) {
    const query = {};
    request.args.filter((arg) => is_authentication(arg[0])).forEach((arg) => {
        query[arg[0]] = arg[1];
    });
    const header = r.headersIn.Authorization || '';
    const in_header = header.startsWith('AWS');
    if (in_header && Object.keys(query).length > 0) {
        throw { status: 400, code: 'InvalidArgument', text: 'Only one kind of authentication is allowed.' };
    }
    if (in_header) {
        const match = HEADER.exec(header) || denied('The Authorization header is not one of version 4.');
        const date = request.headers.filter((each) => each[0] === 'x-amz-date').map((each) => each[1])[0];
        return { credential: match[1], names: match[2].split(';'), signature: match[3], date: date || '', life_s: 0 };
    }
    const whole = AUTHENTICATION.every((name) => typeof query[name] === 'string');
    if (!whole || query['X-Amz-Algorithm'] !== sigv4.ALGORITHM || !/^[1-9][0-9]{0,5}$/.test(query['X-Amz-Expires'])) {
        denied('The request is not signed.');
    }
    return {
        credential: query['X-Amz-Credential'], names: query['X-Amz-SignedHeaders'].split(';'),
        signature: query['X-Amz-Signature'], date: query['X-Amz-Date'], life_s: Number(query['X-Amz-Expires']),
    };
}

// As S3: what is signed has to be there, and what is there under x-amz- has to be signed.
function signed_headers(request, names) {
    const unsigned = request.headers.filter((each) => each[0].startsWith('x-amz-') && names.indexOf(each[0]) < 0);
    if (names.indexOf('host') < 0 || unsigned.length > 0) {
        denied('There were headers present in the request which were not signed.');
    }
    return names.map((name) => {
        const values = request.headers.filter((each) => each[0] === name);
        return values.length === 1 ? values[0] : refuse('SignatureDoesNotMatch', 'A signed header is not there once.');
    });
}

function payload(request, auth) {
    const said = request.headers.filter((each) => each[0] === 'x-amz-content-sha256').map((each) => each[1])[0];
    if (said === undefined && auth.life_s === 0) {
        throw { status: 400, code: 'InvalidRequest', text: 'Missing required header: x-amz-content-sha256.' };
    }
    return said || UNSIGNED_PAYLOAD;
}

function require_time(auth) {
    const parts = DATE.exec(auth.date) || denied('The date is not one.');
    const signed_ms = Date.parse(parts.slice(1, 4).join('-') + 'T' + parts.slice(4, 7).join(':') + 'Z');
    const age_ms = Date.now() - signed_ms;
    if (!(age_ms >= -SKEW_MAX_MS) || (auth.life_s === 0 && age_ms > SKEW_MAX_MS)) {
        refuse('RequestTimeTooSkewed', 'The date of the request is too far from now.');
    }
    if (auth.life_s > URL_LIFE_S_MAX || (auth.life_s > 0 && age_ms > auth.life_s * 1000)) {
        denied('Request has expired.');
    }
}

function headers_of(r) {
    const headers = r.rawHeadersIn.map((each) => [each[0].toLowerCase(), each[1].trim().replace(/ +/g, ' ')]);
    const names = headers.map((each) => each[0]);
    if (names.some((name, at) => name.startsWith('x-amz-') && names.indexOf(name) !== at)) {
        denied('A header is there twice.');
    }
    return headers;
}

function arguments_of(query) {
    const pairs = query.split('&').filter((pair) => pair !== '');
    const args = pairs.map((pair) => {
        const at = pair.indexOf('=');
        return at < 0 ? [decoded(pair), ''] : [decoded(pair.substring(0, at)), decoded(pair.substring(at + 1))];
    });
    const names = args.map((arg) => arg[0].toLowerCase());
    if (names.some((name, at) => names.indexOf(name) !== at)) {
        denied('A parameter is there twice.');
    }
    return args;
}

function decoded(text) {
    try {
        return decodeURIComponent(text);
    } catch (e) {
        throw { status: 400, code: 'InvalidURI', text: 'The query is not UTF-8.' };
    }
}

function canonical_query(args) {
    const encoded = args.map((arg) => [sigv4.encoded(arg[0]), sigv4.encoded(arg[1])]);
    encoded.sort((one, other) => one[0] < other[0] ? -1 : 1);  // By name; no name is there twice.
    return encoded.map((arg) => arg.join('=')).join('&');
}

function is_authentication(name) {
    return AUTHENTICATION.indexOf(name) >= 0;
}

function digest(text) {
    return crypto.createHash('sha256').update(text).digest('hex');
}

function denied(text) {
    return refuse('AccessDenied', text);
}

function refuse(code, text) {
    throw { status: 403, code, text };
}

export default { read, canonical_query, is_authentication };
