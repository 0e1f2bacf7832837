-- Store cached values whose lease still exists.
--
-- KEYS     the keys of the values
-- ARGV[1]  the lease as it is stored
-- ARGV[2]  the TTL of the values in milliseconds
-- ARGV[3…] the values, one for each key
-- returns  how many were stored
--
-- Atomic, because a write of the database removes the lease: a value that was read before
-- that write must not be stored after it.

local filled = 0
for i, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    redis.call('SET', key, ARGV[i + 2], 'PX', ARGV[2])
    filled = filled + 1
  end
end
return filled
