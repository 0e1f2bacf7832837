-- Store copies whose lease still stands.
--
-- KEYS     the copies
-- ARGV[1]  the lease as it is stored
-- ARGV[2]  their life in milliseconds
-- ARGV[3…] the values, one for each key
-- returns  how many were stored
--
-- Atomic, because a write between the look and the fill removes the lease: the value
-- read before that write must not come back.

local filled = 0
for i, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    redis.call('SET', key, ARGV[i + 2], 'PX', ARGV[2])
    filled = filled + 1
  end
end
return filled
