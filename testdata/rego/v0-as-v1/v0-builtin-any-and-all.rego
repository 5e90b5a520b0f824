package t

result := [true in [false, true], count([x | some x in [true, false]; x != true]) == 0, true in [], count([x | some x in []; x != true]) == 0]
