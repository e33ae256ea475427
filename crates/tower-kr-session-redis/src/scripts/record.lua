-- A session is one hash. Each value has a field, whose name begins with `v:`. The record is in these
-- fields; they are short, so that Redis keeps a small session in one piece:
--   head     version (a byte), hash of the secret (32 bytes), created_at; and once somebody signed in:
--            authenticated_at (infinite if it isn't known), and asked_at: when the owner's index was
--            last asked whether the session was revoked
--   life     idle_timeout, touch_interval, absolute_timeout, idle_deadline, absolute_deadline, size
--            of the values, the time until which Redis keeps the session at least, and a byte that
--            is 1 if the cookie is persistent
--   owner    the user, after a sign-in
--   label    what the user calls the session, if the application said so at a sign-in
--   retired  the hash before the last rotation, and the time of it
--   device   what the layer keeps of the device that the session is bound to; no script reads it
-- Numbers are floats of 64 bits, little-endian, as Lua calculates with them: milliseconds are exact
-- for 285,000 years, and the largest times stay the largest. Version 2 had no asked_at.

-- Follows code that sets `key`, what HMGET `found` of `head`, `life` and perhaps more, and the
-- request's `first_contact`, `now` and `secret` (empty: none is asked for). Ends the script with a
-- refusal, or unpacks the record and says whether it is `alive`. It is no function, since a script
-- creates each of its functions anew whenever it runs.

local LIFE = '<dddddddB'
local FOREVER = 2 ^ 63
local RETIRED_FOR = 60 * 1000

if found.err then
  if string.find(found.err, 'WRONGTYPE', 1, true) then
    return {'corrupt', 'type'}
  end
  return found
end
local head, life = found[1], found[2]
if not head and redis.call('EXISTS', key) == 0 then
  return {'missing'}
end
if not head or head == '' then
  return {'corrupt', 'head'}
end
local version = string.byte(head)
if version ~= 3 and version ~= 2 then
  return {'version', string.format('%d', version)}
end
if #head ~= 41 and #head ~= (version == 3 and 57 or 49) then
  return {'corrupt', 'head'}
end
if not life or #life ~= 57 then
  return {'corrupt', 'life'}
end
local idle_timeout, touch_interval, absolute_timeout, idle_deadline, absolute_deadline, size, kept_until, persistent =
  struct.unpack(LIFE, life)
-- No comparison holds for what is no number.
if not (idle_timeout >= 0 and touch_interval >= 0 and absolute_timeout >= 0 and size >= 0
    and idle_deadline >= -FOREVER and absolute_deadline >= -FOREVER and kept_until >= -FOREVER
    and idle_timeout <= FOREVER and touch_interval <= FOREVER and absolute_timeout <= FOREVER and size <= FOREVER
    and idle_deadline <= FOREVER and absolute_deadline <= FOREVER and kept_until <= FOREVER
    and persistent <= 1) then
  return {'corrupt', 'life'}
end

local alive = first_contact < idle_deadline and now < absolute_deadline
if secret ~= '' and string.find(head, secret, 2, true) ~= 2 then
  local retired = alive and redis.call('HGET', key, 'retired')
  if retired and #retired == 40 and string.sub(retired, 1, 32) == secret
      and now < struct.unpack('<d', retired, 33) + RETIRED_FOR then
    return {'superseded'}
  end
  return {'missing'}
end
