// Lets a request pass that has the secret which the edges, the shield and our own programs share.
import object_path from 'object_path.js';

function is_known(r) {
    return r.headersIn['X-Shutterline-Edge'] === facts.edge_secret;
}

// To the shield: an edge asks for an object.
function admit_edge(r) {
    admit(r, object_path.requested(r));
}

// To the status port: an object is to be fetched again.
function admit_refresh(r) {
    admit(r, object_path.refreshed(r));
}

function admit(r, path) {
    if (path === '' || r.method !== 'GET' || !is_known(r)) {
        r.return(403);
        return;
    }
    r.variables.object_path = path;
}

export default { is_known, admit_edge, admit_refresh };
