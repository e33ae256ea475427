-- Removes a record.

if secret == '' and owner ~= '' and found[3] and found[3] ~= owner then
  return {'other_owner'}
end
redis.call('DEL', key)
return {alive and 'removed' or 'missing', found[3] or ''}
