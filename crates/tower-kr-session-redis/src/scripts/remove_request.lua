-- What `remove` is asked: by the token's holder with his secret; without one, by anybody (only the owner's record or nobody's, if
-- one is named).

local key, secret, owner = KEYS[1], ARGV[2], ARGV[3]
local first_contact, now = struct.unpack('<dd', ARGV[1])
local found = redis.pcall('HMGET', key, 'head', 'life', 'owner')
