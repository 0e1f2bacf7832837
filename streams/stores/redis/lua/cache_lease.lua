-- Lease keys that have neither a value nor a lease of this incarnation of the server.
--
-- KEYS     the keys
-- ARGV[1]  the mark of a lease
-- ARGV[2]  the incarnation, of as many bytes as every incarnation
-- ARGV[3]  the token
-- ARGV[4]  the TTL of the lease in milliseconds
-- returns  how many were leased
--
-- Atomic, because a value that is stored between the look and the lease would be lost. A value of another
-- incarnation may be older than the last invalidation, so nobody reads it, and a lease replaces it.

local leased = 0
for _, key in ipairs(KEYS) do
  if redis.call('GETRANGE', key, 1, #ARGV[2]) ~= ARGV[2] then
    redis.call('SET', key, ARGV[1] .. ARGV[2] .. ARGV[3], 'PX', ARGV[4])
    leased = leased + 1
  end
end
return leased
