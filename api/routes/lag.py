"""What waits for the consumer groups, as the lag monitor sees it, for programs."""

from starlette.responses import Response

from api.http.problems import unavailable
from api.http.responses import json_response
from api.lag_reader import NoReport
from api.services import ByOperator, WithLag


async def get_ops_lag(_: ByOperator, lag: WithLag) -> Response:
    """The verdict on each consumer group, its topics and partitions, as of at most a second ago.

    If the lag monitor does not respond, every state is NO-DATA, and `sampled_at` is that of the last sample.
    """
    try:
        return json_response(await lag.report())
    except NoReport as error:
        raise unavailable(f"There is no report yet: {error}.") from None
