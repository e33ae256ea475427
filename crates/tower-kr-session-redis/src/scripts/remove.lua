-- Removes a record. The right secret ends it however old it looks: the clock that says so may be ahead.

if secret == '' and owner ~= '' and found[3] and found[3] ~= owner then
  return {'other_owner'}
end
redis.call('DEL', key)
return {(alive or secret ~= '') and 'removed' or 'missing', found[3] or ''}
