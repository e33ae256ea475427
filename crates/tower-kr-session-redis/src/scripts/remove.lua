-- Removes a record: the token's holder with his secret; without one, anybody (only the owner's or nobody's, if one is named).

local key, secret, owner = KEYS[1], ARGV[2], ARGV[3]
local first_contact, now = struct.unpack('<dd', ARGV[1])

local found = redis.pcall('HMGET', key, 'head', 'life', 'owner')
local refusal, own, _, _, _, idle_deadline, absolute_deadline = open(key, found)
if refusal then
  return refusal
end
local alive = first_contact < idle_deadline and now < absolute_deadline
if secret ~= '' then
  local outcome = alive and standing(key, own, secret, now) or 'missing'
  if outcome ~= 'admitted' then
    return {outcome}
  end
elseif owner ~= '' and found[3] and found[3] ~= owner then
  return {'other_owner'}
end
redis.call('DEL', key)
return {alive and 'removed' or 'missing', found[3] or ''}
