Feature: A machine is cut off
  Machines have addresses of their own; one of the cables is pulled, and plugged in again.

  Background:
    Given machines "first", "alpha" and "beta" with networks of their own
    And heartbeats every second
    And the registry is started
    And the queen is started
    And the hive "alpha" is started
    And the hive "alpha" starts the worker "w1" with the model "echo:alone"

  Scenario: A machine is cut off and healed
    Given the hive "beta" is started
    And the hive "alpha" starts the worker "w2" with the model "echo:twin"
    And the hive "beta" starts the worker "w3" with the model "echo:twin"
    When the machine "alpha" is cut off
    Then every one of 5 requests for "echo:twin" is answered
    And the queen calls the hive "alpha" down
    And the queen lists the workers "w3"
    And the registry lists the workers "w3"
    When the machine "alpha" is connected again
    Then the queen lists the workers "w1", "w2", "w3" as online
    And the registry lists the workers "w1", "w2", "w3"
    And the queen answers a request for "echo:alone"
    And the worker "w1" is still the same process

  Scenario: Nobody else has the model of a machine that is cut off
    When the machine "alpha" is cut off
    Then a request for "echo:alone" is refused in bounded time and says why
    When the machine "alpha" is connected again
    Then the queen answers a request for "echo:alone"
    And the worker "w1" is still the same process
