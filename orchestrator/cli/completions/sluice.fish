# Completion of sluice for fish. What fits is told by `sluice __complete`, from the table
# that --help prints.

function __sluice_offers
	set -l words (commandline -opc) (commandline -ct)
	set -l word (string replace -r '^--[^=]*=' '' -- $words[-1])

	for offer in ($words[1] __complete $words[2..-1] 2>/dev/null)
		switch $offer
			case ':files*'
				string replace -r -- '^' (string sub -s 7 -- $offer) (__fish_complete_path $word)
			case ':dirs*'
				string replace -r -- '^' (string sub -s 6 -- $offer) (__fish_complete_directories $word)
			case '*'
				echo $offer
		end
	end
end

complete -c sluice -f -a '(__sluice_offers)'
