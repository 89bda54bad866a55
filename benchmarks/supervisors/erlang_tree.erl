%% N programs under one supervisor of Erlang/OTP, each the port of a gen_server that ends with it.
%%
%% erl -noshell -run erlang_tree start N COMMAND [ARGUMENT]...
-module(erlang_tree).
-behaviour(supervisor).
-export([start/1, init/1, start_program/2, run_program/2]).

start([Count | Command]) ->
    {ok, _} = supervisor:start_link(?MODULE, {list_to_integer(Count), Command}),
    receive stop -> ok end.

init({Count, Command}) ->
    Children = [#{id => Number, start => {?MODULE, start_program, [Number, Command]}, restart => permanent, shutdown => 1000}
                || Number <- lists:seq(0, Count - 1)],
    {ok, {#{strategy => one_for_one, intensity => 1000000, period => 1}, Children}}.

start_program(Number, Command) ->
    proc_lib:start_link(?MODULE, run_program, [Number, Command]).

run_program(Number, [Command | Arguments]) ->
    Port = open_port({spawn_executable, Command}, [exit_status, {args, Arguments ++ [integer_to_list(Number)]}]),
    proc_lib:init_ack({ok, self()}),
    receive {Port, {exit_status, Status}} -> exit({ended, Status}) end.
