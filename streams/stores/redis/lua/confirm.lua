-- Mark the partitions of `fanout` for which this Redis is as new as the workers expect.
--
-- KEYS[1]  the partitions that are verified since this start of the server
-- KEYS[2…] the checkpoints of the partitions
-- ARGV     for each checkpoint its partition and its expected value
-- returns  the partitions whose checkpoint is another or missing
--
-- Atomic, because a server that is replaced between the comparison and the mark would
-- otherwise be marked without a comparison.

local different = {}
for i = 2, #KEYS do
  local partition, expected = ARGV[2 * i - 3], ARGV[2 * i - 2]
  if redis.call('GET', KEYS[i]) == expected then
    redis.call('HSET', KEYS[1], partition, expected)
  else
    different[#different + 1] = partition
  end
end
return different
