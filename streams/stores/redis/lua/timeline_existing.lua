-- Which owners have a timeline.
--
-- KEYS[1]  any timeline's key, so that the call reaches a node (not used)
-- ARGV[1]  prefix of timeline keys
-- ARGV[2]  owners, packed 8-byte ids, at most 1,000 of them
-- returns  those who have one, packed
--
-- One command an owner; a script, because as many round trips would cost ten times that.

local prefix, owners = ARGV[1], ARGV[2]
local found = {}

for at = 1, #owners, 8 do
  local owner = string.sub(owners, at, at + 7)
  if redis.call('EXISTS', prefix .. owner) == 1 then
    found[#found + 1] = owner
  end
end

return table.concat(found)
