// The operations of S3 that this system and upstream apps need, by what tells them apart: the parameters.
//
// Of all else, however well signed, the store behind the gate has its own notion or none: ACLs, policies,
// versions, copies, tags, websites, other buckets.

const PAGES = ['prefix', 'delimiter', 'encoding-type'];
// Method and target; the parameters that it must have; those that it may have.
const OPERATIONS = [
    ['HEAD bucket', [], []],
    ['GET bucket', [], PAGES.concat('marker', 'max-keys')],
    ['GET bucket', ['list-type'],
     PAGES.concat('start-after', 'max-keys', 'continuation-token', 'fetch-owner')],
    ['GET bucket', ['uploads'], PAGES.concat('key-marker', 'upload-id-marker', 'max-uploads')],
    ['POST bucket', ['delete'], []],
    ['GET object', [], []],
    ['HEAD object', [], []],
    ['PUT object', [], []],
    ['DELETE object', [], []],
    ['POST object', ['uploads'], []],
    ['PUT object', ['partNumber', 'uploadId'], []],
    ['GET object', ['uploadId'], ['max-parts', 'part-number-marker']],
    ['POST object', ['uploadId'], []],
    ['DELETE object', ['uploadId'], []],
];
const HEADERS = ['x-amz-date', 'x-amz-content-sha256', 'x-amz-decoded-content-length', 'x-amz-trailer',
                 'x-amz-sdk-checksum-algorithm', 'x-amz-user-agent', 'x-amz-mp-object-size'];

function require_known(method, target, request) {
    const names = request.args.map((arg) => arg[0]).filter((name) => !is_of_any_operation(name));
    const known = OPERATIONS.some((operation) => operation[0] === method + ' ' + target
        && operation[1].every((name) => names.indexOf(name) >= 0)
        && names.every((name) => operation[1].indexOf(name) >= 0 || operation[2].indexOf(name) >= 0));
    const headers = request.headers.map((header) => header[0]).filter((name) => name.startsWith('x-amz-'));
    // The gate signs requests again, so the store could not check signatures of chunks.
    const chunks = request.payload.startsWith('STREAMING-AWS4');
    if (!known || chunks || !headers.every(is_known_header)) {
        throw { status: 501, code: 'NotImplemented', text: 'The local store does not do what this asks for.' };
    }
    if (method === 'PUT' && !request.headers.some((header) => header[0] === 'content-length')) {
        throw { status: 411, code: 'MissingContentLength', text: 'A PUT says how long it is.' };
    }
}

// Parameters of the signature, of an SDK that names the operation, and of checksums.
function is_of_any_operation(name) {
    return name === 'x-id' || /^X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature)$/.test(name)
        || name === 'x-amz-sdk-checksum-algorithm' || name.startsWith('x-amz-checksum-');
}

function is_known_header(name) {
    return HEADERS.indexOf(name) >= 0 || name.startsWith('x-amz-checksum-') || name.startsWith('x-amz-meta-');
}

export default { require_known };
